//! The standard streams, without a thread when they are pipes.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::pin::Pin;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::unix::pipe;

pub(crate) type Streams = (Pin<Box<dyn AsyncRead>>, Pin<Box<dyn AsyncWrite>>);

/// Standard input and output. Anything but a pipe, such as a terminal, is read by a thread.
pub(crate) fn streams() -> io::Result<Streams> {
    let input: Pin<Box<dyn AsyncRead>> = match pipe::Receiver::from_owned_fd(copy_of(&io::stdin())?) {
        Ok(pipe) => Box::pin(pipe),
        Err(_) => Box::pin(tokio::io::stdin()),
    };
    let output: Pin<Box<dyn AsyncWrite>> = match pipe::Sender::from_owned_fd(copy_of(&io::stdout())?) {
        Ok(pipe) => Box::pin(pipe),
        Err(_) => Box::pin(tokio::io::stdout()),
    };
    Ok((input, output))
}

fn copy_of(stream: &impl AsFd) -> io::Result<OwnedFd> {
    stream.as_fd().try_clone_to_owned()
}
