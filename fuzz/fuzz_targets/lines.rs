//! The reader of a server's lines.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| roadstead_bridge::fuzzing::lines(data));
