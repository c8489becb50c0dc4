//! `onair demo`: a studio on real input, driven through its own gRPC API.
//!
//! Owns the clips, the pushing and recording ffmpeg processes and the operator's part. Must not touch the server but
//! through its listeners. Invariant: it succeeds only if PGM was really played by another program.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep_until, timeout};

use super::server::Server;
use super::show::Show;
use crate::config::{Config, DemoArgs, VideoCodec};
use crate::limits;

/// Seconds between takes.
const TAKE_EVERY: Duration = Duration::from_secs(4);

/// Runs the demo.
///
/// # Errors
/// When ffmpeg is missing, the server cannot start, a call is refused, or PGM could not be played.
pub fn demo(args: DemoArgs) -> Result<(), String> {
    let runtime = tokio::runtime::Runtime::new().map_err(|error| error.to_string())?;
    runtime.block_on(run(args))
}

async fn run(args: DemoArgs) -> Result<(), String> {
    let folder = std::env::temp_dir().join(format!("onair-demo-{}", std::process::id()));
    let media = folder.join("media");
    create(&media)?;
    create(&args.out)?;
    let result = on_air(&args, &folder, &media).await;
    if let Err(error) = std::fs::remove_dir_all(&folder) {
        tracing::warn!(%error, "the demo's folder {} stays", folder.display());
    }
    result
}

fn create(path: &Path) -> Result<(), String> {
    std::fs::create_dir_all(path)
        .map_err(|error| format!("cannot make {}: {error}", path.display()))
}

async fn on_air(args: &DemoArgs, folder: &Path, media: &Path) -> Result<(), String> {
    let mut settings = (*args.settings).clone();
    settings.data.get_or_insert(folder.join("data"));
    settings.media_dir.get_or_insert(media.to_owned());
    // The demo's own client and recorder speak plainly to it, over loopback.
    let mut config: Config = settings.resolve()?;
    config.tls = None;
    // FFmpeg reads HEVC and AV1 in FLV from 6.1 on, and Debian's is older.
    let recorded = match config.video_codec {
        VideoCodec::H264 => "flv",
        VideoCodec::Hevc | VideoCodec::Av1 => "m3u8",
    };
    println!("making two clips and a logo …");
    make_clips(media).await?;
    let server = Server::start(config).await?;
    let push = server.push_url("live/cam");
    let mut pusher = ffmpeg(&["-re", "-stream_loop", "-1", "-i"], &media.join("cam.mp4"))
        .args(["-c", "copy", "-f", "flv", &push])
        .spawn()
        .map_err(no_ffmpeg)?;
    let shown = run_show(args, &server, recorded).await;
    end(&mut pusher).await;
    server.drain().await;
    shown
}

/// The show, of which the summary's recording is made by way of this format.
async fn run_show(args: &DemoArgs, server: &Server, recorded: &str) -> Result<(), String> {
    let mut show = Show::build(server, &args.template).await?;
    println!(
        "\nPGM is on air. Watch it (the keys in the addresses are good for this server only):\n"
    );
    for url in show.pgm_urls() {
        println!("  {url}");
    }
    println!("\npreview:\n\n  {}\n", show.pvw_url());
    let Some(seconds) = args.seconds else {
        println!("Ctrl-C ends the demo; a take every {} s.", TAKE_EVERY.as_secs());
        tokio::select! {
            done = take_until(&mut show, None) => return done,
            _ = tokio::signal::ctrl_c() => return show.stop().await,
        }
    };
    let end_at = Instant::now() + Duration::from_secs(seconds);
    let recording = args.out.join("pgm.mp4");
    let mut recorder = ffmpeg(&["-i"], Path::new(&show.pgm_url(recorded)))
        .args(["-c", "copy", "-movflags", "+faststart"])
        .arg(&recording)
        .stdin(Stdio::piped())
        .spawn()
        .map_err(no_ffmpeg)?;
    take_until(&mut show, Some(end_at)).await?;
    end(&mut recorder).await;
    let report = show.report().await?;
    show.stop().await?;
    let picture = args.out.join("pgm.png");
    let frames = check_recording(&recording, &picture).await?;
    println!("{report}");
    println!("recorded  {frames} frames of PGM by another program: {}", recording.display());
    println!("picture   {}", picture.display());
    // The recorder joined within a group of pictures and was ended before the show was.
    let least = seconds.saturating_sub(4) * 25;
    if frames < least {
        return Err(format!(
            "only {frames} frames of PGM could be played, at least {least} should be"
        ));
    }
    Ok(())
}

/// Takes between the layouts until `end_at`, or for ever.
async fn take_until(show: &mut Show, end_at: Option<Instant>) -> Result<(), String> {
    loop {
        let next = Instant::now() + TAKE_EVERY;
        match end_at {
            Some(end_at) if end_at <= next => {
                sleep_until(end_at).await;
                return Ok(());
            }
            _ => sleep_until(next).await,
        }
        let (layout, tick) = show.take_next().await?;
        println!("take      {layout} is on air from frame {tick} on");
    }
}

fn no_ffmpeg(error: std::io::Error) -> String {
    format!("the demo needs the ffmpeg program (apt install ffmpeg): {error}")
}

fn ffmpeg(before_input: &[&str], input: &Path) -> Command {
    let mut command = Command::new("ffmpeg");
    command.args(["-hide_banner", "-loglevel", "error", "-nostats", "-y"]);
    command.args(before_input).arg(input);
    command.stdin(Stdio::null()).stdout(Stdio::null()).kill_on_drop(true);
    command
}

/// Asks an ffmpeg process, by the key that its user would press, to finish its file, and waits for it.
async fn end(child: &mut Child) {
    if let Some(mut keyboard) = child.stdin.take() {
        let asked = keyboard.write_all(b"q").await;
        if asked.is_ok() && timeout(limits::DRAIN_TIMEOUT, child.wait()).await.is_ok() {
            return;
        }
    }
    if let Err(error) = child.kill().await {
        tracing::warn!(%error, "an ffmpeg process could not be ended");
    }
}

async fn make_clips(media: &Path) -> Result<(), String> {
    let clip = |video: &str, tone: u32, seconds: u32, name: &str| {
        let tone = format!("sine=frequency={tone}:sample_rate=48000");
        let mut command = ffmpeg(&["-f", "lavfi", "-i"], Path::new(video));
        command.args(["-f", "lavfi", "-i", &tone, "-t", &seconds.to_string()]);
        command.args(["-pix_fmt", "yuv420p", "-c:v", "libx264", "-preset", "veryfast"]);
        command.args(["-g", "60", "-b:v", "2M", "-c:a", "aac", "-ac", "2"]).arg(media.join(name));
        command
    };
    let mut logo =
        ffmpeg(&["-f", "lavfi", "-i"], Path::new("color=c=0xe02020:s=160x90,format=rgba"));
    logo.args(["-vf", "drawbox=x=8:y=8:w=144:h=74:color=white:t=6", "-frames:v", "1"]);
    logo.arg(media.join("logo.png"));
    for mut command in [
        clip("testsrc2=size=1280x720:rate=30", 440, 10, "cam.mp4"),
        clip("mandelbrot=size=1280x720:rate=30", 660, 10, "clip.mp4"),
        logo,
    ] {
        let status = command.status().await.map_err(no_ffmpeg)?;
        if !status.success() {
            return Err(format!("ffmpeg could not make the demo's clips ({status})"));
        }
    }
    Ok(())
}

/// Decodes what was recorded, saves the last picture, counts the frames.
async fn check_recording(recording: &Path, picture: &PathBuf) -> Result<u64, String> {
    let probe = Command::new("ffprobe")
        .args(["-v", "error", "-count_frames", "-select_streams", "v:0"])
        .args(["-show_entries", "stream=nb_read_frames", "-of", "csv=p=0"])
        .arg(recording)
        .output()
        .await
        .map_err(no_ffmpeg)?;
    let text = String::from_utf8_lossy(&probe.stdout);
    let frames = text.trim().trim_end_matches(',').parse().unwrap_or(0);
    let saved = ffmpeg(&["-sseof", "-3", "-i"], recording)
        .args(["-update", "1", "-frames:v", "1"])
        .arg(picture)
        .status()
        .await
        .map_err(no_ffmpeg)?;
    if saved.success() { Ok(frames) } else { Err("PGM was recorded but has no picture".into()) }
}
