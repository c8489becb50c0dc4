//! Generates the gRPC code (server and client) and the descriptor set that reflection answers from.

use std::path::PathBuf;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let files = [
        "caster",
        "caster_service",
        "channel",
        "component",
        "image",
        "layout",
        "library",
        "recording",
        "resource",
        "rundown",
        "scene",
        "watch",
    ]
    .map(|name| format!("proto/onair/v1/{name}.proto"));
    let out = PathBuf::from(std::env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?);
    tonic_prost_build::configure()
        .file_descriptor_set_path(out.join("onair.v1.bin"))
        .compile_protos(&files, &["proto".to_owned()])?;
    Ok(())
}
