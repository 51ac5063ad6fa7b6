//! Clients that are there and are not: one whose machine has gone, and one that does not read any more.

use roadstead_test_support::raw::{Session, call};
use serde_json::json;
use socket2::{SockFilter, SockRef};
use std::fmt::Write as _;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

/// How little a client that stops reading has room for.
const ROOM: u32 = 16 * 1024;
/// More than all buffers on the way hold.
const ANSWER_BYTES: usize = 32 * 1024 * 1024;
/// A filter that lets no segment in: `ret 0`. To the other side the machine has vanished, and says nothing of it.
const NOTHING: u16 = 0x06;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HalfDead {
    /// It listens to its session, and its machine vanishes.
    Vanished,
    /// It makes a call with a large answer, and reads none of it.
    StoppedReading,
}

/// A client before it falls silent.
pub struct Dying {
    stream: TcpStream,
    how: HalfDead,
}

impl HalfDead {
    /// Sends the request on a connection of its own.
    pub async fn play(self, session: &Session, url: &str) -> Dying {
        let request = match self {
            Self::Vanished => session.request("GET"),
            Self::StoppedReading => {
                let text = "x".repeat(ANSWER_BYTES);
                session.request("POST").json(&call(&json!("large"), "echo", &json!({ "text": text }), None))
            }
        };
        let request = request.build().expect("a request");
        let address = url.strip_prefix("http://").and_then(|url| url.split('/').next()).expect("a URL");
        let mut head =
            format!("{} {} HTTP/1.1\r\nHost: {address}\r\n", request.method(), request.url().path());
        for (name, value) in request.headers() {
            write!(head, "{name}: {}\r\n", value.to_str().expect("plain")).expect("memory");
        }
        let body = request.body().and_then(reqwest::Body::as_bytes).unwrap_or_default();
        if !body.is_empty() {
            write!(head, "Content-Length: {}\r\n", body.len()).expect("memory");
        }
        head.push_str("\r\n");
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.set_recv_buffer_size(ROOM).expect("a small buffer");
        let mut stream = socket.connect(address.parse().expect("an address")).await.expect("connected");
        stream.write_all(head.as_bytes()).await.expect("sent");
        stream.write_all(body).await.expect("sent");
        Dying { stream, how: self }
    }
}

impl Dying {
    /// Reads the beginning of the answer; from then on, nothing. The socket stays open for as long as the result lives.
    pub async fn fall_silent(mut self) -> TcpStream {
        let mut beginning = [0; 12];
        self.stream.read_exact(&mut beginning).await.expect("an answer begins");
        assert_eq!(&beginning, b"HTTP/1.1 200");
        if self.how == HalfDead::Vanished {
            let nothing = SockFilter::new(NOTHING, 0, 0, 0);
            SockRef::from(&self.stream).attach_filter(&[nothing]).expect("a filter");
        }
        self.stream
    }
}
