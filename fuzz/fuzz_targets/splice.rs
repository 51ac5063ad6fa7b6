//! Replacing parts of a text.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| roadstead_bridge::fuzzing::replaced(data));
