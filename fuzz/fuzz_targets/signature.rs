//! See `onair::api::openapi::fuzzing::signature`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| onair::api::openapi::fuzzing::signature(data));
