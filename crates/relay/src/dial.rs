//! Connecting: a name is resolved, every address is looked at, and one of those very addresses is connected to. There is no second
//! look-up in between that could give another answer.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use roadstead_upstream::{Dial, Dialing, Io};
use rustls_pki_types::ServerName;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::guard;

/// How long one of several addresses may take before the next one is tried.
const ONE_ADDRESS: Duration = Duration::from_secs(3);
/// Addresses that are tried.
const MAX_ADDRESSES: usize = 8;

/// The way to the remote server.
#[derive(Clone)]
pub(crate) struct RemoteDial {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) tls: Option<Tls>,
    pub(crate) allow_private: bool,
}

/// How it is encrypted.
#[derive(Clone)]
pub(crate) struct Tls {
    pub(crate) connector: TlsConnector,
    pub(crate) name: ServerName<'static>,
}

impl Dial for RemoteDial {
    fn dial(&self) -> Dialing {
        let this = self.clone();
        Box::pin(async move {
            let addresses = this.addresses().await?;
            let stream = connect(&addresses).await?;
            stream.set_nodelay(true)?;
            Ok(match &this.tls {
                Some(tls) => Box::new(tls.connector.connect(tls.name.clone(), stream).await?) as Box<dyn Io>,
                None => Box::new(stream),
            })
        })
    }
}

impl RemoteDial {
    async fn addresses(&self) -> io::Result<Vec<SocketAddr>> {
        let found: Vec<_> = if let Ok(address) = self.host.parse() {
            vec![SocketAddr::new(address, self.port)]
        } else {
            let found = lookup_host((self.host.as_str(), self.port)).await;
            found.map_err(|_| other("its name could not be resolved"))?.collect()
        };
        if !self.allow_private {
            // One address that is not public makes the name suspicious as a whole.
            if let Some(kind) = found.iter().find_map(|address| guard::not_public(address.ip())) {
                let message = format!("its name leads to {kind}, which is not allowed");
                return Err(io::Error::new(io::ErrorKind::PermissionDenied, message));
            }
        }
        Ok(found)
    }
}

async fn connect(addresses: &[SocketAddr]) -> io::Result<TcpStream> {
    let mut last = other("its name has no address");
    for address in addresses.iter().take(MAX_ADDRESSES) {
        last = match timeout(ONE_ADDRESS, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => error,
            Err(_) => io::Error::new(io::ErrorKind::TimedOut, "it does not answer"),
        };
    }
    Err(last)
}

fn other(message: &str) -> io::Error {
    io::Error::other(message)
}
