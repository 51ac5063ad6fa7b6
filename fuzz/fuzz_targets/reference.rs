//! References to packages.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| roadstead_catalog::fuzzing::reference(data));
