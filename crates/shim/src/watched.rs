//! Descriptors of ours that the runtime watches.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use nix::sys::timerfd::TimerFd;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// A descriptor that its owner closes, and nobody else does.
pub(crate) trait Owner: AsRawFd {}

impl Owner for OwnedFd {}

/// A timer, by its descriptor.
pub(crate) struct Timer(pub(crate) TimerFd);

impl AsRawFd for Timer {
    fn as_raw_fd(&self) -> RawFd {
        std::os::fd::AsFd::as_fd(&self.0).as_raw_fd()
    }
}

impl Owner for Timer {}

/// Watches a descriptor for as long as the result lives.
#[expect(unsafe_code, reason = "the runtime cannot see that a descriptor is owned by what it is given")]
pub(crate) fn watched<T: Owner>(owner: T, interest: Interest) -> io::Result<AsyncFd<T>> {
    // SAFETY: every `Owner` holds its one descriptor open, unchanged, until it is dropped, and it is dropped
    // only together with the registration.
    Ok(unsafe { AsyncFd::register_with_interest(owner, interest) }?)
}
