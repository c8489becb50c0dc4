//! End to end: the built binary, real ffmpeg as publisher and player, loopback only.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on panics")]

mod bad_input;
#[path = "../simulation/chance.rs"]
mod chance;
mod codecs;
mod delay;
mod durability;
mod edges;
mod fault_table;
mod faults;
mod flapping;
mod groups;
mod kept;
mod keys;
mod ladder;
mod library;
mod live;
mod load;
mod machine_faults;
mod malformed;
mod mischief;
mod moves;
mod nvdec;
mod nvenc;
mod nvenc_choices;
mod nvenc_faults;
mod peers;
mod proof;
mod recordings;
mod relays;
mod render;
mod resume;
mod rundown;
mod s3;
mod sdk;
mod source_faults;
mod sources;
mod standby;
mod stored;
mod support;
mod telemetry;
mod threads;
mod through;
mod tls;
mod transitions;
