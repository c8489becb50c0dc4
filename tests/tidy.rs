//! The rules of the house that no compiler checks: who may know whom, whose names stay in which room, sizes.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::fs;
use std::path::{Path, PathBuf};

/// Which rooms a room may name (besides itself and the leaves).
const MAY_KNOW: &[(&str, &[&str])] = &[
    (
        "app",
        &[
            "api", "catalog", "engine", "gpu", "input", "library", "media", "output", "picture",
            "sound", "store",
        ],
    ),
    // The hub carries encoded streams to players; api never sees a decoded frame.
    ("api", &["catalog", "engine", "library", "media"]),
    ("store", &["catalog"]),
    ("input", &["media"]),
    ("library", &["media"]),
    ("output", &["media"]),
    ("gpu", &["picture"]),
    ("engine", &["picture", "sound"]),
    ("catalog", &[]),
    ("picture", &[]),
    ("sound", &[]),
    ("media", &[]),
    ("config", &[]),
    ("frame", &[]),
    ("limits", &[]),
];

/// Leaves that every room may name; pure rooms only those of [`PURE_LEAVES`].
const LEAVES: &[&str] = &[
    "frame",
    "device_memory",
    "color",
    "shot",
    "source",
    "luma",
    "ids",
    "limits",
    "record_name",
    "recording",
    "time",
    "metrics",
    "worker",
    "memory",
    "trust",
    "round_trip",
    "fault",
    "config",
];
const PURE: &[&str] = &["catalog", "picture", "sound", "engine"];
const PURE_LEAVES: &[&str] =
    &["frame", "shot", "source", "ids", "limits", "record_name", "recording", "time"];

/// Foreign names and the rooms they stay in.
const FOREIGN: &[(&str, &[&str])] = &[
    ("ffmpeg_next", &["media"]),
    ("nvidia_video_codec_sdk", &["media"]),
    ("libloading", &["media"]),
    ("wgpu", &["gpu"]),
    ("ash::", &["gpu"]),
    ("nvml_wrapper", &["gpu"]),
    ("cosmic_text", &["gpu"]),
    ("tonic", &["api"]),
    ("axum", &["api"]),
    ("hyper", &["api"]),
    ("tokio_rustls", &["api"]),
    ("rml_rtmp", &["api"]),
    ("object_store", &["api"]),
    ("rusqlite", &["store"]),
    ("nnnoiseless", &["sound"]),
    ("rustix", &["library", "output"]),
    ("image::", &["media", "app"]),
    ("moxcms", &["media"]),
];

const VAGUE: &[&str] = &["utils", "util", "common", "helpers", "helper", "manager", "misc"];
const MAX_LINES: usize = 500;

fn rust_files(dir: &Path, found: &mut Vec<PathBuf>) {
    let mut entries: Vec<_> = fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

fn check(problems: &mut Vec<String>, path: &Path, text: &str) {
    let name = path.strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap().display().to_string();
    let lines = text.lines().count();
    if lines > MAX_LINES {
        problems.push(format!("{name}: {lines} lines, at most {MAX_LINES}"));
    }
    if !text.starts_with("//!") {
        problems.push(format!("{name}: does not open with //!"));
    }
    if VAGUE.iter().any(|v| path.file_stem().is_some_and(|s| s == *v)) {
        problems.push(format!("{name}: says nothing by its name"));
    }
    let Some(room) =
        name.strip_prefix("src/").and_then(|n| n.split_once('/')).map(|(room, _)| room)
    else {
        return;
    };
    let Some((_, allowed)) = MAY_KNOW.iter().find(|(r, _)| *r == room) else {
        problems.push(format!("{name}: room {room} is not in the table"));
        return;
    };
    // Tests of an edge may use the rooms behind it as real peers.
    let is_test = name.contains("/tests") || name.ends_with("/testing.rs");
    let code = text.lines().filter(|l| !l.trim_start().starts_with("//"));
    for (number, line) in code.enumerate() {
        for known in line.split("crate::").skip(1) {
            let target: String =
                known.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            let leaf =
                if PURE.contains(&room) { PURE_LEAVES } else { LEAVES }.contains(&target.as_str());
            if !is_test
                && !target.is_empty()
                && target != room
                && !leaf
                && !allowed.contains(&target.as_str())
            {
                problems.push(format!(
                    "{name}: {room} must not know {target} (code line {})",
                    number + 1
                ));
            }
        }
        for (foreign, rooms) in FOREIGN {
            let named = line.match_indices(foreign).any(|(at, _)| {
                !line[..at]
                    .ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':' || c == '"')
            });
            if named && !rooms.contains(&room) {
                problems.push(format!(
                    "{name}: {foreign} stays in {rooms:?} (code line {})",
                    number + 1
                ));
            }
        }
    }
}

#[test]
fn the_house_is_tidy() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    for dir in ["src", "tests", "benches"] {
        rust_files(&root.join(dir), &mut files);
    }
    assert!(files.len() > 20, "only {} files found", files.len());
    let mut problems = Vec::new();
    for path in files {
        check(&mut problems, &path, &fs::read_to_string(&path).unwrap());
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}
