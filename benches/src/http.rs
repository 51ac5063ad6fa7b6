//! A client that costs next to nothing: HTTP/1.1 by hand, one request at a time on a connection that stays.

use std::io::Write as _;

use anyhow::{Context, bail, ensure};
use memchr::memmem;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const READ_BYTES: usize = 64 * 1024;

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
        self.request.clear();
        write!(
            self.request,
            "{method} {} HTTP/1.1\r\nHost: {}\r\nAccept: application/json, text/event-stream\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n{}\r\n",
            endpoint.path,
            endpoint.authority,
            body.len(),
            endpoint.headers,
        )?;
        self.request.extend_from_slice(body);
        self.stream.write_all(&self.request).await.context("could not send a request")?;
        self.read_answer().await
    }

    /// Sends JSON and reads JSON, with the answer's status.
    pub async fn json(
        &mut self,
        endpoint: &Endpoint,
        method: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<(u16, Value)> {
        let body = body.map(Value::to_string).unwrap_or_default();
        let answer = self.exchange(endpoint, method, body.as_bytes()).await?;
        let value = if self.body.is_empty() { Value::Null } else { serde_json::from_slice(&self.body)? };
        Ok((answer.status, value))
    }

    /// The body of the last answer.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    async fn read_answer(&mut self) -> anyhow::Result<Answer> {
        self.read.clear();
        self.body.clear();
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
        if is_chunked {
            self.read_chunks(head).await?;
        } else {
            while self.read.len() < head + length {
                self.read_more().await?;
            }
            self.body.extend_from_slice(&self.read[head..head + length]);
        }
        Ok(Answer { status, session })
    }

    async fn read_chunks(&mut self, mut at: usize) -> anyhow::Result<()> {
        loop {
            let line_end = loop {
                if let Some(end) = memmem::find(&self.read[at..], b"\r\n") {
                    break at + end;
                }
                self.read_more().await?;
            };
            let digits = std::str::from_utf8(&self.read[at..line_end]).context("a chunk has no size")?;
            let digits = digits.split(';').next().unwrap_or_default();
            let size = usize::from_str_radix(digits.trim(), 16).context("a chunk has no size")?;
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
    async fn an_answer_without_a_body_has_an_empty_one() {
        let (answer, body) = read("HTTP/1.1 202 Accepted\r\n\r\n").await.unwrap();
        assert_eq!((answer.status, body.as_str()), (202, ""));
    }
}
