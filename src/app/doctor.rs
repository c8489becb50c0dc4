//! `onair doctor`: what this machine can do, and what is missing, each with what to do about it.
//!
//! Must not change anything. Invariant: it says what was tried just now, never what should be there.

use std::sync::Arc;

use super::encoders;
use crate::config::{self, DoctorArgs};
use crate::device_memory::{DeviceUuid, Lender};
use crate::frame::Size;
use crate::gpu::{AdapterChoice, Compositor, Gpu, Supply};
use crate::media::nvdec::Nvdec;
use crate::media::nvenc::{self, NvencSettings};
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
    let gpu = match Supply::open(choice, None).and_then(|supply| {
        let gpu = supply.gpu()?;
        println!("compose   with {}", gpu.info());
        Compositor::new(gpu, Size::new(1920, 1080)).map(|_| Arc::new(supply))
    }) {
        Ok(gpu) => Some(gpu),
        Err(error) => {
            missing.push(error.to_string());
            None
        }
    };
    if let Some(gpu) = &gpu {
        println!("canvas    1920x1080 made");
        if let Some(load) = gpu.card_load() {
            println!("card      {load}");
        }
    }
    println!("ffmpeg    {}", parts::version());
    for (name, found) in parts::parts() {
        println!("{name:<9} {}", if found { "found" } else { "MISSING" });
        if !found {
            missing.push(format!("FFmpeg was built without {name}: use Debian's packages"));
        }
    }
    tell_nvenc(args, gpu.as_ref().and_then(|gpu| gpu.exports_as()));
    if let Some(gpu) = gpu {
        println!("decoder   {}", tell_nvdec(args, gpu));
    }
    if missing.is_empty() {
        println!("all good");
        return Ok(());
    }
    Err(missing.join("; "))
}

/// Tries NVDEC, and says what decodes.
fn tell_nvdec(args: &DoctorArgs, gpu: Arc<Supply>) -> &'static str {
    let Some(uuid) = gpu.exports_as() else { return "software" };
    let is_software = gpu.is_software();
    let lender: Arc<dyn Lender> = gpu;
    match Nvdec::open(args.nvidia_libraries.as_deref(), uuid, lender) {
        Ok(nvdec) => {
            for decodes in nvdec.decodes() {
                println!("nvdec     {decodes}");
            }
            match is_software {
                true => "software: pictures are composed by the CPU",
                false => "nvdec, and software what it does not decode",
            }
        }
        Err(why) => {
            println!("nvdec     {why}");
            "software"
        }
    }
}

/// Tries NVENC, a session of each codec, and says what encodes.
fn tell_nvenc(args: &DoctorArgs, adapter: Option<DeviceUuid>) {
    let libraries = args.nvidia_libraries.clone();
    let settings = NvencSettings { libraries, adapter, ..NvencSettings::default() };
    let tried = nvenc::codecs(&settings).unwrap_or_else(|why| {
        println!("nvenc     {why}");
        Vec::new()
    });
    if !tried.is_empty() {
        let device = nvenc::report(&settings).device.unwrap_or_default();
        println!("nvenc     on {device}");
    }
    for (codec, done) in &tried {
        match done {
            Ok(()) => println!("nvenc     {}: a session was opened", codec.name()),
            Err(why) => println!("nvenc     {}: {why}", codec.name()),
        }
    }
    for codec in config::VideoCodec::ALL.map(encoders::codec) {
        let (name, software) = (codec.name(), codec.software());
        match tried.contains(&(codec, Ok(()))) {
            true => println!("encoder   {name}: nvenc, and {software} where it has no session"),
            false => println!("encoder   {name}: {software}"),
        }
    }
}
