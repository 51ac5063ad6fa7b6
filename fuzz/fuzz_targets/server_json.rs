//! Documents of the MCP registry.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| roadstead_catalog::fuzzing::server_json(data));
