//! A client that costs next to nothing: HTTP/1.1 by hand, one request at a time on a connection that stays.

use std::io::Write as _;

use anyhow::{Context, bail, ensure};
use memchr::memmem;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const READ_BYTES: usize = 64 * 1024;
const JSON: &str = "application/json";
/// What a client of MCP has to take.
const EITHER: &str = "application/json, text/event-stream";

/// Where to call and what goes with every request.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// `host:port`.
    pub authority: String,
    pub path: String,
    /// Header lines, each with its end.
    pub headers: String,
}

impl Endpoint {
    /// The endpoint of an `http://` URL.
    pub fn parse(url: &str, bearer: Option<&str>) -> anyhow::Result<Self> {
        let rest = url.strip_prefix("http://").with_context(|| format!("{url} is no http:// URL"))?;
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        ensure!(authority.contains(':'), "{url} names no port");
        let path = if path.is_empty() { "/" } else { path };
        let headers = bearer.map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
        Ok(Self { authority: authority.to_owned(), path: path.to_owned(), headers })
    }

    pub fn with_header(mut self, name: &str, value: &str) -> Self {
        self.headers.push_str(name);
        self.headers.push_str(": ");
        self.headers.push_str(value);
        self.headers.push_str("\r\n");
        self
    }

    pub fn at(&self, path: &str) -> Self {
        Self { path: path.to_owned(), ..self.clone() }
    }
}

/// An answer; the body is what the connection last read.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub session: Option<String>,
}

/// What a long answer came to.
#[derive(Debug, Clone, Copy)]
pub struct Counted {
    pub status: u16,
    pub bytes: u64,
    pub lines: u64,
}

/// The head of an answer: its bytes, and those of the body where they are told.
struct Head {
    length: usize,
    status: u16,
    session: Option<String>,
    body: usize,
    is_chunked: bool,
}

/// One connection, with room that is reused.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    request: Vec<u8>,
    read: Vec<u8>,
    body: Vec<u8>,
}

impl Connection {
    pub async fn open(endpoint: &Endpoint) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(&endpoint.authority)
            .await
            .with_context(|| format!("could not connect to {}", endpoint.authority))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, request: Vec::new(), read: Vec::with_capacity(READ_BYTES), body: Vec::new() })
    }

    /// Sends one request and reads its whole answer.
    pub async fn exchange(
        &mut self,
        endpoint: &Endpoint,
        method: &str,
        body: &[u8],
    ) -> anyhow::Result<Answer> {
        self.send(endpoint, method, EITHER, body).await?;
        self.read_answer().await
    }

    async fn send(
        &mut self,
        endpoint: &Endpoint,
        method: &str,
        accepted: &str,
        body: &[u8],
    ) -> anyhow::Result<()> {
        self.request.clear();
        write!(
            self.request,
            "{method} {} HTTP/1.1\r\nHost: {}\r\nAccept: {accepted}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n{}\r\n",
            endpoint.path,
            endpoint.authority,
            body.len(),
            endpoint.headers,
        )?;
        self.request.extend_from_slice(body);
        self.stream.write_all(&self.request).await.context("could not send a request")
    }

    /// Asks for something long that comes in chunks, and keeps nothing of it but the count.
    pub async fn count(&mut self, endpoint: &Endpoint) -> anyhow::Result<Counted> {
        self.send(endpoint, "GET", EITHER, b"").await?;
        self.body.clear();
        let head = self.read_head().await?;
        ensure!(head.is_chunked, "what is to be counted does not come in chunks");
        let mut counted = Counted { status: head.status, bytes: 0, lines: 0 };
        self.read.drain(..head.length);
        loop {
            let line_end = loop {
                if let Some(end) = memmem::find(&self.read, b"\r\n") {
                    break end;
                }
                self.read_more().await?;
            };
            let size = size_of(&self.read[..line_end])?;
            self.read.drain(..line_end + 2);
            let mut left = size;
            while left > 0 {
                if self.read.is_empty() {
                    self.read_more().await?;
                }
                let piece = left.min(self.read.len());
                counted.lines += memchr::memchr_iter(b'\n', &self.read[..piece]).count() as u64;
                self.read.drain(..piece);
                left -= piece;
            }
            while self.read.len() < 2 {
                self.read_more().await?;
            }
            self.read.drain(..2);
            if size == 0 {
                return Ok(counted);
            }
            counted.bytes += size as u64;
        }
    }

    /// Sends JSON and reads JSON, with the answer's status.
    pub async fn json(
        &mut self,
        endpoint: &Endpoint,
        method: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<(u16, Value)> {
        let body = body.map(Value::to_string).unwrap_or_default();
        // What takes long is told as events to whoever takes them.
        self.send(endpoint, method, JSON, body.as_bytes()).await?;
        let answer = self.read_answer().await?;
        let value = if self.body.is_empty() { Value::Null } else { serde_json::from_slice(&self.body)? };
        Ok((answer.status, value))
    }

    /// The body of the last answer.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    async fn read_answer(&mut self) -> anyhow::Result<Answer> {
        self.body.clear();
        let Head { length: head, status, session, body, is_chunked } = self.read_head().await?;
        if is_chunked {
            self.read_chunks(head).await?;
        } else {
            while self.read.len() < head + body {
                self.read_more().await?;
            }
            self.body.extend_from_slice(&self.read[head..head + body]);
        }
        Ok(Answer { status, session })
    }

    async fn read_head(&mut self) -> anyhow::Result<Head> {
        self.read.clear();
        let head = loop {
            if let Some(end) = memmem::find(&self.read, b"\r\n\r\n") {
                break end + 4;
            }
            self.read_more().await?;
        };
        let text = std::str::from_utf8(&self.read[..head]).context("the head of an answer is not UTF-8")?;
        let status =
            text.get(9..12).and_then(|digits| digits.parse().ok()).context("an answer has no status")?;
        let (mut length, mut is_chunked, mut session) = (0_usize, false, None);
        for line in text.split("\r\n").skip(1) {
            let Some((name, value)) = line.split_once(':') else { continue };
            let value = value.trim();
            if name.eq_ignore_ascii_case("content-length") {
                length = value.parse().context("an answer has a wrong length")?;
            } else if name.eq_ignore_ascii_case("transfer-encoding") {
                is_chunked = value.eq_ignore_ascii_case("chunked");
            } else if name.eq_ignore_ascii_case("mcp-session-id") {
                session = Some(value.to_owned());
            }
        }
        Ok(Head { length: head, status, session, body: length, is_chunked })
    }

    async fn read_chunks(&mut self, mut at: usize) -> anyhow::Result<()> {
        loop {
            let line_end = loop {
                if let Some(end) = memmem::find(&self.read[at..], b"\r\n") {
                    break at + end;
                }
                self.read_more().await?;
            };
            let size = size_of(&self.read[at..line_end])?;
            let start = line_end + 2;
            while self.read.len() < start + size + 2 {
                self.read_more().await?;
            }
            if size == 0 {
                return Ok(());
            }
            self.body.extend_from_slice(&self.read[start..start + size]);
            at = start + size + 2;
        }
    }

    async fn read_more(&mut self) -> anyhow::Result<()> {
        self.read.reserve(READ_BYTES);
        if self.stream.read_buf(&mut self.read).await.context("could not read an answer")? == 0 {
            bail!("the connection was closed in the middle of an answer");
        }
        Ok(())
    }
}

fn size_of(chunk_head: &[u8]) -> anyhow::Result<usize> {
    let digits = std::str::from_utf8(chunk_head).context("a chunk has no size")?;
    let digits = digits.split(';').next().unwrap_or_default();
    usize::from_str_radix(digits.trim(), 16).context("a chunk has no size")
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    async fn read(answers: &'static str) -> anyhow::Result<(Answer, String)> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}/mcp", listener.local_addr()?);
        let endpoint = Endpoint::parse(&url, Some("t"))?;
        let serve = async {
            let (mut stream, _) = listener.accept().await?;
            // In small pieces, so that every seam is met.
            for piece in answers.as_bytes().chunks(3) {
                stream.write_all(piece).await?;
                stream.flush().await?;
                tokio::task::yield_now().await;
            }
            anyhow::Ok(stream)
        };
        let call = async {
            let mut connection = Connection::open(&endpoint).await?;
            let answer = connection.exchange(&endpoint, "POST", b"{}").await?;
            anyhow::Ok((answer, String::from_utf8(connection.body().to_vec())?))
        };
        let (_stream, answer) = tokio::try_join!(serve, call)?;
        Ok(answer)
    }

    #[tokio::test]
    async fn a_body_of_known_length_is_read_whole() {
        let answer = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nMcp-Session-Id: abc\r\n\r\nhello";
        let (answer, body) = read(answer).await.unwrap();
        assert_eq!((answer.status, answer.session.as_deref(), body.as_str()), (200, Some("abc"), "hello"));
    }

    #[tokio::test]
    async fn a_body_in_chunks_is_read_whole() {
        let answer =
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\n\r\n";
        assert_eq!(read(answer).await.unwrap().1, "hello");
    }

    #[tokio::test]
    async fn what_comes_in_chunks_is_counted_without_being_kept() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = Endpoint::parse(&format!("http://{}/", listener.local_addr().unwrap()), None).unwrap();
        let serve = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let answer =
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\na\nb\n\r\n2\r\nc\n\r\n0\r\n\r\n";
            for piece in answer.chunks(3) {
                stream.write_all(piece).await.unwrap();
                tokio::task::yield_now().await;
            }
            stream
        };
        let count = async { Connection::open(&endpoint).await.unwrap().count(&endpoint).await.unwrap() };
        let (_stream, counted) = tokio::join!(serve, count);
        assert_eq!((counted.status, counted.bytes, counted.lines), (200, 6, 3));
    }

    #[tokio::test]
    async fn an_answer_without_a_body_has_an_empty_one() {
        let (answer, body) = read("HTTP/1.1 202 Accepted\r\n\r\n").await.unwrap();
        assert_eq!((answer.status, body.as_str()), (202, ""));
    }
}
