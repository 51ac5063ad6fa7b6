//! What every listener of ours does with a connection it has accepted: a client that has vanished is noticed, and one that is
//! refused in the middle of its upload still reads why. Knows nothing of HTTP.

mod linger;
mod watch;

pub use linger::{Lingering, serve};
pub use watch::{CLIENT_SILENCE, watch};
