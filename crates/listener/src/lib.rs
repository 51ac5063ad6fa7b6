//! What every listener of ours does with a connection it has accepted: a client that has vanished is noticed, and one that is
//! refused in the middle of its upload still reads why and knows that the connection ends, and memory is tidied after the last word. Knows nothing of requests.

mod linger;
mod tidy;
mod upload;
mod watch;

pub use linger::{Lingering, serve};
pub use tidy::{Served, ServedBody, Tidy};
pub use upload::{Upload, UploadEnd};
pub use watch::{CLIENT_SILENCE, watch};
