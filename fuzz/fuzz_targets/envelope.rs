//! The envelope of a message, and its new id.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| roadstead_bridge::fuzzing::envelope(data));
