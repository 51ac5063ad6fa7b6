//! A server's messages on their way through an event stream, read as a browser would read it.

use std::pin::{Pin, pin};
use std::rc::Rc;

use bytes::Bytes;
use http::Request;
use http_body::{Body, Frame, SizeHint};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::oneshot;
use tokio::task::LocalSet;

use crate::{
    Bridge, BridgeConfig, Ender, Era, LaunchFailure, Opening, Purpose, ServerLauncher, ServerPipes, Silent,
    Via,
};

/// Whatever text a server sends, and whatever noise between, its messages come out whole and in order. Each line of the input is
/// one message, and is also sent as it is.
pub fn events(data: &[u8]) {
    let said: Vec<String> = data
        .split(|byte| *byte == b'\n')
        .take(200)
        .map(|part| {
            let text = serde_json::to_string(&String::from_utf8_lossy(part)).expect("text is always JSON");
            format!(r#"{{"jsonrpc":"2.0","method":"notifications/x","params":{{"text":{text}}}}}"#)
        })
        .collect();
    let mut lines = Vec::new();
    for (line, noise) in said.iter().zip(data.split(|byte| *byte == b'\n')) {
        // Noise that is a message would have to come out too.
        let noise =
            std::str::from_utf8(noise).map_or(noise, |text| if text.contains('{') { b"" } else { noise });
        lines.extend_from_slice(&[noise, b"\n", line.as_bytes(), b"\r\n"].concat());
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime without input and output");
    let came = runtime.block_on(LocalSet::new().run_until(through(lines)));
    assert_eq!(decoded(&came), said);
}

/// What a client reads on the stream of its session when the server says this and leaves.
async fn through(lines: Vec<u8>) -> String {
    let bridge =
        Bridge::new(BridgeConfig::new(Era::Legacy), Rc::new(Nothing), Box::new(|_| ()), Box::new(Silent));
    let (stdin, input) = tokio::io::duplex(4096);
    let (output, stdout) = tokio::io::duplex(4096);
    let (listening, listens) = oneshot::channel();
    bridge.adopt(ServerPipes {
        stdin: Box::pin(stdin),
        stdout: Box::pin(stdout),
        exited: Box::pin(std::future::pending()),
        ender: Ender::new(|_| ()),
    });
    tokio::task::spawn_local(serve(input, output, listens, lines));
    let hello = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25"}}"#;
    let request = Request::post("/mcp").header("content-type", "application/json");
    let request = request.body(Text(Some(hello.into()))).expect("a request");
    let session = bridge.handle(request, Via::Port).await.headers()["mcp-session-id"].clone();
    let get = Request::get("/mcp").header("mcp-session-id", session).header("accept", "text/event-stream");
    let stream = bridge.handle(get.body(Text(None)).expect("a request"), Via::Port).await;
    listening.send(()).expect("the server waits");
    let mut body = pin!(stream.into_body());
    let mut all = Vec::new();
    while let Some(Ok(frame)) = std::future::poll_fn(|cx| body.as_mut().poll_frame(cx)).await {
        all.extend_from_slice(&frame.into_data().unwrap_or_default());
    }
    String::from_utf8(all).expect("event streams are UTF-8")
}

async fn serve(
    mut input: DuplexStream,
    mut output: DuplexStream,
    listens: oneshot::Receiver<()>,
    lines: Vec<u8>,
) {
    let mut heard = [0; 1];
    input.read_exact(&mut heard).await.expect("a request");
    let hello: &[u8] = b"{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"protocolVersion\":\"2025-11-25\"}}\n";
    output.write_all(hello).await.expect("the bridge reads");
    if listens.await.is_ok() {
        output.write_all(&lines).await.expect("the bridge reads");
    }
}

/// The data of all events, as the standard has a browser read them.
fn decoded(stream: &str) -> Vec<String> {
    let (mut events, mut data) = (Vec::new(), Vec::new());
    for line in stream.replace("\r\n", "\n").replace('\r', "\n").split('\n') {
        if let Some(part) = line.strip_prefix("data:") {
            data.push(part.strip_prefix(' ').unwrap_or(part).to_owned());
        } else if line.is_empty() {
            let event = std::mem::take(&mut data).join("\n");
            // An event without data says nothing.
            events.extend((!event.is_empty()).then_some(event));
        }
    }
    events
}

struct Nothing;

impl ServerLauncher for Nothing {
    fn open(&self, _purpose: Purpose) -> Opening {
        Box::pin(async { Err(LaunchFailure { message: "there is one server only".to_owned() }) })
    }
}

struct Text(Option<Bytes>);

impl Body for Text {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        std::task::Poll::Ready(self.0.take().map(|text| Ok(Frame::data(text))))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}
