//! The router between clients in memory and scripted servers in memory.

mod eras;
mod faults;
mod legacy;
mod modern;
mod rig;
mod streams;
