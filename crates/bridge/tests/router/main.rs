//! The router between clients in memory and scripted servers in memory.

mod eras;
mod faults;
mod legacy;
mod modern;
mod params;
mod raw;
mod rig;
mod shared;
mod streams;
