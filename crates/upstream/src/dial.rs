//! The seam to whoever makes connections. One dialer reaches one server; which one is its own business.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

/// An open connection.
pub trait Io: AsyncRead + AsyncWrite + Unpin {}

impl<T: AsyncRead + AsyncWrite + Unpin + ?Sized> Io for T {}

/// A connection, some time later. `ConnectionRefused` means that nobody listens there; the text of any error may reach the client.
pub type Dialing = Pin<Box<dyn Future<Output = io::Result<Box<dyn Io>>>>>;

/// Connects to the server.
pub trait Dial {
    /// Opens one more connection.
    fn dial(&self) -> Dialing;
}

/// Connects without encryption to an address of this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoopbackDial(pub SocketAddr);

impl Dial for LoopbackDial {
    fn dial(&self) -> Dialing {
        let address = self.0;
        Box::pin(async move {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            Ok(Box::new(stream) as Box<dyn Io>)
        })
    }
}
