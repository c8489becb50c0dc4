//! Arguments → configuration → [`onair::app`]. Owns the exit code and nothing else.

use std::process::ExitCode;

use clap::Parser;
use onair::app;
use onair::config::{Cli, Command};
use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    let filter = EnvFilter::try_from_env("ONAIR_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let done = match Cli::parse().command {
        Command::Serve(settings) => settings.resolve().and_then(app::serve),
        Command::Demo(args) => app::demo(args),
        Command::Render(args) => app::render(&args),
        Command::Doctor(args) => app::doctor(&args),
        Command::PushUrl(args) => app::push_url(args),
        Command::Top(args) => app::top(args),
        Command::Key(command) => app::key(command),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("onair: {message}");
            ExitCode::FAILURE
        }
    }
}
