//! Wiring and lifetimes: what the commands of the binary do.
//!
//! Reading order: [`server`] (what runs), `studio` (the command's path), `on_air` (a running caster), `run_tick` (the
//! frame's path, one page), `canvas` (what is drawn on), `frame_thread` (its pace), [`render`] (the same engine offline). Must not hold rules of any
//! other room. Invariant: everything that was started is ended in order.

mod access;
mod admission;
mod canvas;
mod decoders;
mod demo;
mod doctor;
mod encoders;
mod events;
mod frame_thread;
mod images;
mod keys;
mod metrics_page;
mod on_air;
mod outputs;
mod recordings;
mod render;
pub mod resolve;
mod run_tick;
mod rundown;
mod script;
pub mod server;
mod shedding;
mod show;
mod snapshot;
mod studio;
mod top;
mod uploads;
mod world;

pub use demo::demo;
pub use doctor::doctor;
pub use keys::key;
pub use render::render;
pub use top::top;

use tokio::signal::unix::{SignalKind, signal};

use crate::api::auth_key::StreamKey;
use crate::config::{Config, PushUrlArgs};
use crate::{limits, memory};
use server::Server;

/// Runs the studio until SIGTERM or Ctrl-C, then ends it in order.
///
/// # Errors
/// One line that says what could not be had.
pub fn serve(config: Config) -> Result<(), String> {
    memory::keep_tight();
    let runtime = tokio::runtime::Runtime::new().map_err(|error| error.to_string())?;
    let served = runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate()).map_err(|error| error.to_string())?;
        let server = tokio::select! {
            started = Server::start(config) => started?,
            _ = terminate.recv() => return Ok(()),
        };
        println!(
            "onair ready http={} grpc={} rtmp={}",
            server.http_address(),
            server.grpc_address(),
            server.rtmp_address()
        );
        tokio::select! {
            _ = terminate.recv() => tracing::info!("SIGTERM: ending the shows"),
            _ = tokio::signal::ctrl_c() => tracing::info!("Ctrl-C: ending the shows"),
        }
        server.drain().await;
        Ok(())
    });
    // What still blocks a thread (a name that is being looked up) is left behind.
    runtime.shutdown_timeout(limits::EXIT_TIMEOUT);
    served
}

/// Prints the address that a stream is pushed to, with its key.
///
/// # Errors
/// When the settings or the data directory cannot be read.
pub fn push_url(args: PushUrlArgs) -> Result<(), String> {
    let config = args.settings.resolve()?;
    let (app, name) = args.stream.trim_matches('/').split_once('/').unwrap_or_default();
    if app.is_empty() || name.is_empty() {
        return Err(format!("{:?} is not APP/NAME, such as live/cam1", args.stream));
    }
    std::fs::create_dir_all(&config.data).map_err(|error| error.to_string())?;
    let key = StreamKey::load_or_make(&config.data).map_err(|error| error.to_string())?;
    println!("{}", server::push_url(&key, config.rtmp, &args.stream, args.days));
    Ok(())
}
