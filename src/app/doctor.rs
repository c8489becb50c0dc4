//! `onair doctor`: what this machine can do, and what is missing, each with what to do about it.
//!
//! Must not change anything. Invariant: it says what was tried just now, never what should be there.

use crate::config::DoctorArgs;
use crate::device_memory::DeviceUuid;
use crate::frame::Size;
use crate::gpu::{AdapterChoice, Compositor, Gpu};
use crate::media::nvenc::{self, NvencCodec, NvencSettings};
use crate::media::parts;

/// Checks the machine and prints a line for each finding.
///
/// # Errors
/// When something without which onair cannot run is missing.
pub fn doctor(args: &DoctorArgs) -> Result<(), String> {
    let mut missing = Vec::new();
    println!("onair {}", env!("CARGO_PKG_VERSION"));
    println!("cpu       {} threads", std::thread::available_parallelism().map_or(1, usize::from));
    for (index, info) in Gpu::adapters().iter().enumerate() {
        println!("adapter   {index}: {info}");
    }
    let choice = AdapterChoice(args.adapter.clone());
    let mut device = None;
    match Gpu::open(&choice).and_then(|gpu| {
        device = gpu.exports_as();
        println!("compose   with {}", gpu.info());
        gpu.warm_up()?;
        Compositor::new(gpu, Size::new(1920, 1080)).map(drop)
    }) {
        Ok(()) => println!("canvas    1920x1080 made"),
        Err(error) => missing.push(error.to_string()),
    }
    println!("ffmpeg    {}", parts::version());
    for (name, found) in parts::parts() {
        println!("{name:<9} {}", if found { "found" } else { "MISSING" });
        if !found {
            missing.push(format!("FFmpeg was built without {name}: use Debian's packages"));
        }
    }
    let encoder = tell_nvenc(args, device);
    println!("encoder   {encoder}");
    if missing.is_empty() {
        println!("all good");
        return Ok(());
    }
    Err(missing.join("; "))
}

/// Tries NVENC, a session of each codec, and says what encodes.
fn tell_nvenc(args: &DoctorArgs, adapter: Option<DeviceUuid>) -> &'static str {
    let libraries = args.nvidia_libraries.clone();
    let settings = NvencSettings { libraries, adapter, ..NvencSettings::default() };
    let tried = match nvenc::codecs(&settings) {
        Ok(tried) => tried,
        Err(why) => {
            println!("nvenc     {why}");
            return "x264";
        }
    };
    let device = nvenc::report(&settings).device.unwrap_or_default();
    println!("nvenc     on {device}");
    let mut encoder = "x264: NVENC has no session for H.264";
    for (codec, done) in tried {
        match done {
            Ok(()) if codec == NvencCodec::H264 => {
                println!("nvenc     {}: a session was opened", codec.name());
                encoder = "nvenc, and x264 where it has no session";
            }
            Ok(()) => println!("nvenc     {}: a session was opened; not used", codec.name()),
            Err(why) => println!("nvenc     {}: {why}", codec.name()),
        }
    }
    encoder
}
