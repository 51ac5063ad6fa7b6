//! Configurations of clients.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| roadstead_catalog::fuzzing::client_config(data));
