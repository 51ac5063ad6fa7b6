//! The router between clients in memory and scripted servers in memory.

mod again;
mod eras;
mod eras_found;
mod eras_legacy_client;
mod eras_modern_client;
mod eras_parked;
mod eras_storm;
mod events;
mod faults;
mod legacy;
mod limits;
mod modern;
mod modern_caller;
mod params;
mod raw;
mod resume;
mod revive;
mod rig;
mod shared;
mod sse;
mod streams;
mod usage;
