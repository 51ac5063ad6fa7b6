//! The router between clients in memory and scripted servers in memory.

mod eras;
mod faults;
mod legacy;
mod limits;
mod modern;
mod resume;
mod revive;
mod rig;
mod sse;
mod streams;
