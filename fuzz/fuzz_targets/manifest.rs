//! Types written as TOML.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| roadstead_catalog::fuzzing::manifest(data));
