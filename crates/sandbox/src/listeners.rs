//! Where processes take connections: a port that is open beyond the loopback address is open to the network.

use std::collections::HashSet;
use std::io;
use std::net::{IpAddr, SocketAddr};

use procfs::ProcError;
use procfs::net::{TcpNetEntry, TcpState};
use procfs::process::{FDTarget, Process};

/// The TCP sockets on which a tree of processes takes connections.
#[derive(Debug, Default)]
pub struct Listeners {
    /// Where, each once.
    pub sockets: Vec<SocketAddr>,
    /// Processes that do not let themselves be looked into, unless a user of their own told their sockets.
    pub unseen: Vec<i32>,
}

impl Listeners {
    /// Looks at processes that share one network namespace. With `user` every socket of that user counts, whoever
    /// of its processes holds it: right where the user is theirs alone. Processes that end meanwhile are passed over.
    pub fn of(processes: &[i32], user: Option<u32>) -> io::Result<Self> {
        let mut found = Self::default();
        let mut inodes = HashSet::new();
        for pid in processes {
            match held(*pid) {
                Ok(held) => inodes.extend(held),
                Err(ProcError::NotFound(_)) => {}
                Err(ProcError::PermissionDenied(_)) if user.is_some() => {}
                Err(ProcError::PermissionDenied(_)) => found.unseen.push(*pid),
                Err(error) => return Err(io::Error::other(error)),
            }
        }
        for entry in listening(processes)? {
            let address = address(&entry);
            let theirs = inodes.contains(&entry.inode) || user == Some(entry.uid);
            if theirs && !found.sockets.contains(&address) {
                found.sockets.push(address);
            }
        }
        Ok(found)
    }

    /// Every socket of our own network namespace on which somebody takes connections.
    pub fn of_anybody() -> io::Result<Self> {
        let own = i32::try_from(std::process::id()).map_err(io::Error::other)?;
        let sockets = listening(&[own])?.iter().map(address).collect();
        Ok(Self { sockets, unseen: Vec::new() })
    }

    /// Whether one of them takes what is sent to an address.
    pub fn serve(&self, address: SocketAddr) -> bool {
        self.sockets.iter().any(|socket| {
            // A socket on all addresses of IPv6 takes connections of IPv4 as well.
            let takes = match socket.ip() {
                IpAddr::V4(own) => own == address.ip() || (own.is_unspecified() && address.is_ipv4()),
                IpAddr::V6(own) => own == address.ip() || own.is_unspecified(),
            };
            takes && socket.port() == address.port()
        })
    }

    /// Those that are open beyond the loopback address.
    pub fn public(&self) -> impl Iterator<Item = &SocketAddr> {
        self.sockets.iter().filter(|socket| !socket.ip().is_loopback())
    }
}

fn address(entry: &TcpNetEntry) -> SocketAddr {
    SocketAddr::new(entry.local_address.ip().to_canonical(), entry.local_address.port())
}

/// The sockets that a process holds.
fn held(pid: i32) -> Result<Vec<u64>, ProcError> {
    let mut sockets = Vec::new();
    for descriptor in Process::new(pid)?.fd()? {
        match descriptor {
            Ok(descriptor) => {
                if let FDTarget::Socket(inode) = descriptor.target {
                    sockets.push(inode);
                }
            }
            // Closed since it was listed.
            Err(ProcError::NotFound(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(sockets)
}

/// The listening sockets of the processes' namespace, as the first of them that lives sees it.
fn listening(processes: &[i32]) -> io::Result<Vec<TcpNetEntry>> {
    for pid in processes {
        let Ok(process) = Process::new(*pid) else { continue };
        let mut entries = match process.tcp() {
            Ok(entries) => entries,
            Err(ProcError::NotFound(_)) => continue,
            Err(error) => return Err(io::Error::other(error)),
        };
        match process.tcp6() {
            Ok(more) => entries.extend(more),
            // A machine without IPv6 has no such table.
            Err(ProcError::NotFound(_)) => {}
            Err(error) => return Err(io::Error::other(error)),
        }
        entries.retain(|entry| entry.state == TcpState::Listen);
        return Ok(entries);
    }
    Ok(Vec::new())
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    fn own() -> Listeners {
        Listeners::of(&[i32::try_from(std::process::id()).unwrap()], None).unwrap()
    }

    #[test]
    fn our_own_sockets_are_found_and_told_apart_by_their_reach() {
        let quiet = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let near = TcpListener::bind("127.0.0.1:0").unwrap();
        let far = TcpListener::bind("0.0.0.0:0").unwrap();
        let (near, far) =
            (near.local_addr().map(|it| (it, near)).unwrap(), far.local_addr().map(|it| (it, far)).unwrap());
        let found = own();
        assert!(Listeners::of_anybody().unwrap().serve(near.0));
        assert!(found.serve(near.0) && !found.public().any(|it| *it == near.0), "{found:?}");
        assert!(found.public().any(|it| *it == far.0), "{found:?}");
        let through_loopback = SocketAddr::new(near.0.ip(), far.0.port());
        assert!(found.serve(through_loopback), "a socket on every address takes it");
        assert!(!found.serve(quiet), "it is closed");
    }

    #[test]
    fn a_socket_of_another_process_is_not_ours_unless_the_user_counts() {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        let init = [1];
        let by_process = Listeners::of(&init, None);
        assert!(by_process.map_or(true, |found| !found.serve(address)));
        let us = nix::unistd::geteuid().as_raw();
        assert!(Listeners::of(&init, Some(us)).unwrap().serve(address));
    }

    #[test]
    fn addresses_of_one_family_are_taken_by_sockets_of_the_other_as_the_kernel_does() {
        let of = |text: &str| Listeners { sockets: vec![text.parse().unwrap()], unseen: Vec::new() };
        let to = |text: &str| text.parse::<SocketAddr>().unwrap();
        assert!(of("[::]:80").serve(to("127.0.0.1:80")) && of("[::]:80").serve(to("[::1]:80")));
        assert!(!of("0.0.0.0:80").serve(to("[::1]:80")) && !of("127.0.0.1:80").serve(to("127.0.0.1:81")));
        assert_eq!(of("[::1]:80").public().count(), 0);
        assert_eq!(of("192.0.2.1:80").public().count(), 1);
    }
}
