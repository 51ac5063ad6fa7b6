//! Whether a server listens, and whether it answers.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, HOST};
use http::{Method, Request, Uri};
use http_body_util::Full;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use roadstead_control::HttpTransport;
use roadstead_sandbox::Listeners;
use tokio::net::TcpStream;

use crate::spawner::{End, Server};

/// The pause between two looks: most servers need some tenths of a second.
const LOOK: Duration = Duration::from_millis(20);
/// A message that changes nothing, and that every server answers, be it with a refusal.
const PING: &str = r#"{"jsonrpc":"2.0","id":"roadstead/ready","method":"ping"}"#;

/// Where the server of an address may listen.
pub(super) fn addresses(url: &Uri) -> Result<Vec<SocketAddr>, String> {
    let port = url.port_u16().ok_or_else(|| format!("{url} names no port"))?;
    let hosts: &[IpAddr] = match url.host().unwrap_or_default() {
        // Which one a program means by it is up to its resolver.
        "localhost" => &[IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)],
        "127.0.0.1" => &[IpAddr::V4(Ipv4Addr::LOCALHOST)],
        "[::1]" => &[IpAddr::V6(Ipv6Addr::LOCALHOST)],
        _ => return Err(format!("{url} is not on the loopback address")),
    };
    Ok(hosts.iter().map(|host| SocketAddr::new(*host, port)).collect())
}

/// Waits until somebody listens on one of the addresses, or the server has ended. Connects to nobody: it may be
/// anybody, and an attempt on a port from which the kernel also gives out connections may meet itself and take it.
pub(super) async fn listening(candidates: &[SocketAddr], server: Server) -> Result<SocketAddr, End> {
    let look = async {
        loop {
            // Without a table nobody is seen, and the launch's own time ends the wait.
            let found = Listeners::of_anybody().unwrap_or_default();
            if let Some(address) = candidates.iter().find(|address| found.serve(**address)) {
                return *address;
            }
            tokio::time::sleep(LOOK).await;
        }
    };
    tokio::select! {
        biased;
        end = server.ended() => Err(end),
        address = look => Ok(address),
    }
}

/// Whether something holds the port of a server that has ended.
pub(super) fn is_taken(candidates: &[SocketAddr]) -> bool {
    let taken = |address: &SocketAddr| {
        TcpListener::bind(address).is_err_and(|error| error.kind() == std::io::ErrorKind::AddrInUse)
    };
    candidates.iter().any(taken)
}

/// Waits until the endpoint answers a request, whatever it answers, or the server has ended.
pub(super) async fn answering(
    address: SocketAddr,
    url: &Uri,
    transport: HttpTransport,
    server: Server,
) -> Result<(), End> {
    let look = async {
        while ask(address, url, transport).await.is_none() {
            tokio::time::sleep(LOOK).await;
        }
    };
    tokio::select! {
        biased;
        end = server.ended() => Err(end),
        () = look => Ok(()),
    }
}

/// One request without the type's headers; nothing when there is no answer.
async fn ask(address: SocketAddr, url: &Uri, transport: HttpTransport) -> Option<()> {
    let stream = TcpStream::connect(address).await.ok()?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.ok()?;
    let connection = tokio::task::spawn_local(connection);
    let answer = sender.send_request(request(url, transport)?).await;
    // An event stream would go on for ever.
    connection.abort();
    answer.ok().map(drop)
}

fn request(url: &Uri, transport: HttpTransport) -> Option<Request<Full<Bytes>>> {
    let path = url.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
    let request = Request::builder().uri(path).header(HOST, url.authority()?.as_str());
    let request = match transport {
        HttpTransport::StreamableHttp => request
            .method(Method::POST)
            .header(ACCEPT, "application/json, text/event-stream")
            .header(CONTENT_TYPE, "application/json")
            .body(Full::from(PING)),
        HttpTransport::Sse => {
            request.method(Method::GET).header(ACCEPT, "text/event-stream").body(Full::default())
        }
    };
    request.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_addresses_with_a_port_are_looked_for() {
        let of = |text: &str| addresses(&text.parse().unwrap());
        assert_eq!(of("http://127.0.0.1:81/mcp").unwrap(), ["127.0.0.1:81".parse().unwrap()]);
        assert_eq!(of("http://[::1]:81/mcp").unwrap(), ["[::1]:81".parse().unwrap()]);
        assert_eq!(of("http://localhost:81/mcp").unwrap().len(), 2);
        for bad in ["http://localhost/mcp", "http://0.0.0.0:81/", "http://example.com:81/", "/mcp"] {
            assert!(of(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_request_names_the_host_and_the_path_of_the_address() {
        let url = "http://localhost:81/a/mcp?x=1".parse().unwrap();
        let post = request(&url, HttpTransport::StreamableHttp).unwrap();
        assert_eq!((post.method(), post.uri().to_string().as_str()), (&Method::POST, "/a/mcp?x=1"));
        assert_eq!(post.headers()[HOST], "localhost:81");
        let get = request(&"http://localhost:81".parse().unwrap(), HttpTransport::Sse).unwrap();
        assert_eq!((get.method(), get.uri().path()), (&Method::GET, "/"));
    }
}
