//! The router between clients in memory and scripted servers in memory.

mod eras;
mod eras_found;
mod eras_legacy_client;
mod eras_modern_client;
mod events;
mod faults;
mod legacy;
mod limits;
mod modern;
mod resume;
mod revive;
mod rig;
mod sse;
mod streams;
