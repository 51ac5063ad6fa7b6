//! Descriptors passed over a unix socket, and the sender's process id as the receiver sees it.

use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType, UnixCredentials,
    recvmsg, sendmsg, setsockopt, socketpair, sockopt,
};

/// Descriptors that one message may carry: a server's three streams.
pub const MAX_DESCRIPTORS: usize = 3;

/// What one receive call gave.
#[derive(Debug)]
pub struct Received {
    /// Bytes read; zero is the end of the stream.
    pub bytes: usize,
    /// Descriptors that came along, closed on exec.
    pub descriptors: Vec<OwnedFd>,
    /// Who sent these bytes, if the receiving end asks for it.
    pub sender: Option<i32>,
}

/// A connected pair; the first end is told who sent what it reads.
pub fn pair() -> Result<(OwnedFd, OwnedFd), Errno> {
    let (first, second) = socketpair(AddressFamily::Unix, SockType::Stream, None, SockFlag::SOCK_CLOEXEC)?;
    setsockopt(&first, sockopt::PassCred, &true)?;
    Ok((first, second))
}

/// Sends bytes with descriptors attached to the first of them. May send fewer bytes than given.
pub fn send(socket: BorrowedFd<'_>, bytes: &[u8], descriptors: &[OwnedFd]) -> Result<usize, Errno> {
    let raw: Vec<i32> = descriptors.iter().map(OwnedFd::as_raw_fd).collect();
    let rights = [ControlMessage::ScmRights(&raw)];
    let attached: &[ControlMessage<'_>] = if raw.is_empty() { &[] } else { &rights };
    sendmsg::<()>(socket.as_raw_fd(), &[IoSlice::new(bytes)], attached, MsgFlags::MSG_NOSIGNAL, None)
}

/// Receives bytes of one sender, and what is attached to them.
#[expect(unsafe_code, reason = "received descriptors are bare numbers until they are owned")]
pub fn receive(socket: BorrowedFd<'_>, buffer: &mut [u8]) -> Result<Received, Errno> {
    let mut space = nix::cmsg_space!([i32; MAX_DESCRIPTORS], UnixCredentials);
    let mut parts = [IoSliceMut::new(buffer)];
    let flags = MsgFlags::MSG_CMSG_CLOEXEC;
    let message = recvmsg::<()>(socket.as_raw_fd(), &mut parts, Some(&mut space), flags)?;
    let mut received = Received { bytes: message.bytes, descriptors: Vec::new(), sender: None };
    for control in message.cmsgs()? {
        match control {
            ControlMessageOwned::ScmRights(raw) => {
                // SAFETY: the kernel just made these descriptors for us; nobody else knows their numbers.
                received.descriptors.extend(raw.into_iter().map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }));
            }
            ControlMessageOwned::ScmCredentials(credentials) => received.sender = Some(credentials.pid()),
            _ => {}
        }
    }
    Ok(received)
}

/// Takes ownership of standard input as a descriptor above the standard streams, and leaves `/dev/null` there.
pub fn take_stdin() -> Result<OwnedFd, Errno> {
    use std::os::fd::AsFd as _;
    let taken = std::io::stdin().as_fd().try_clone_to_owned();
    let taken = taken.map_err(|e| e.raw_os_error().map_or(Errno::EIO, Errno::from_raw))?;
    let null = nix::fcntl::open("/dev/null", nix::fcntl::OFlag::O_RDWR, nix::sys::stat::Mode::empty())?;
    nix::unistd::dup2_stdin(&null)?;
    Ok(taken)
}

/// The same for standard output.
pub fn take_stdout() -> Result<OwnedFd, Errno> {
    use std::os::fd::AsFd as _;
    let taken = std::io::stdout().as_fd().try_clone_to_owned();
    let taken = taken.map_err(|e| e.raw_os_error().map_or(Errno::EIO, Errno::from_raw))?;
    let null = nix::fcntl::open("/dev/null", nix::fcntl::OFlag::O_RDWR, nix::sys::stat::Mode::empty())?;
    nix::unistd::dup2_stdout(&null)?;
    Ok(taken)
}
