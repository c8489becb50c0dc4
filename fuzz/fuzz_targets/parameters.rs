//! See `onair::api::openapi::fuzzing::parameters`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| onair::api::openapi::fuzzing::parameters(data));
