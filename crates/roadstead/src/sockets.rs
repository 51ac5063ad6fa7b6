//! Which listening socket: a service manager's, the one of the process before us, or one of our own.

use std::net::{SocketAddr, TcpListener};
use std::os::fd::AsFd as _;

use anyhow::Context;
use listenfd::ListenFd;
use nix::sys::socket::{getsockopt, sockopt};
use sd_notify::NotifyState;
use tokio::net::TcpSocket;

use crate::config::Config;
use crate::handover::is_same;

/// Callers that may wait to be accepted: all that come while one process follows another.
const QUEUE: u32 = 4096;
/// The name of our socket in a service manager's store of descriptors.
const STORED: &str = "roadstead-listener";

/// Where a listening socket comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// It was bound just now.
    Bound,
    /// The process before us handed it over.
    HandedOver,
    /// A service manager kept it for us.
    Stored,
    /// A service manager made it, from a socket unit.
    Unit,
}

/// A socket that listens.
#[derive(Debug)]
pub struct Listening {
    /// The socket, for the runtime.
    pub listener: TcpListener,
    /// Where it comes from.
    pub origin: Origin,
}

impl Listening {
    /// The socket to listen on. A socket unit's says itself where it listens; any other one has to fit the configuration.
    pub fn choose(config: &Config, handed_over: Option<TcpListener>) -> anyhow::Result<Self> {
        let (listener, origin) = match passed(config.listen, &config.listen_names) {
            Some(passed) => passed,
            None => match handed_over {
                Some(listener) => (listener, Origin::HandedOver),
                None => (bind(config.listen)?, Origin::Bound),
            },
        };
        listener.set_nonblocking(true)?;
        Ok(Self { listener, origin })
    }

    /// Gives a service manager a copy, so that callers wait in its queue while nobody serves. Without a manager, or with one that
    /// stores nothing, nothing happens.
    pub fn store(&self) {
        if matches!(self.origin, Origin::Bound | Origin::HandedOver) {
            let words = [NotifyState::FdStore, NotifyState::FdName(STORED)];
            if let Err(error) = sd_notify::notify_with_fds(&words, &[self.listener.as_fd()]) {
                tracing::warn!(%error, "the service manager was not given the listening socket");
            }
        }
    }
}

fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    let bound = || -> std::io::Result<TcpListener> {
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        // At once after a restart, too.
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(QUEUE)?.into_std()
    };
    bound().with_context(|| format!("could not listen on {address}; choose another address with --listen"))
}

/// What a service manager passed to us.
fn passed(asked: SocketAddr, names: &[String]) -> Option<(TcpListener, Origin)> {
    let mut passed = ListenFd::from_env();
    let mut chosen = None;
    for index in 0..passed.len() {
        // All are taken, so that none is left open to our children.
        let Ok(Some(listener)) = passed.take_tcp_listener(index) else { continue };
        let Ok(address) = listener.local_addr() else { continue };
        let is_stored = names.get(index).is_some_and(|name| name == STORED);
        if !getsockopt(&listener, sockopt::AcceptConn).unwrap_or(false) {
            tracing::warn!(%address, "a socket that was passed to us does not listen");
        } else if is_stored && !is_same(asked, address) {
            // It would keep callers waiting for ever.
            let _ = sd_notify::notify(&[NotifyState::FdStoreRemove, NotifyState::FdName(STORED)]);
        } else if !is_stored {
            chosen = Some((listener, Origin::Unit));
        } else if chosen.is_none() {
            chosen = Some((listener, Origin::Stored));
        }
    }
    chosen
}
