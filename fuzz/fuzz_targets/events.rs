//! Event streams.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| roadstead_bridge::fuzzing::events(data));
