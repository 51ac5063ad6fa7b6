//! The way out: through the proxy that the environment names.

use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::fake::TOKEN;
use crate::program::{Listener, PATIENCE, Program, spawn};

#[tokio::test]
async fn a_proxy_is_asked_for_the_way_and_never_sees_the_token() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let proxy = format!("http://{}", listener.local_addr().expect("an address"));
    let (tell, mut asked) = tokio::sync::mpsc::unbounded_channel();
    let mut serving = JoinSet::new();
    serving.spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let mut stream = BufReader::new(stream);
            let mut head = String::new();
            while stream.read_line(&mut head).await.is_ok_and(|read| read > 2) {}
            // Whoever asked has all that he needs to go on without us.
            let _ = stream
                .write_all(b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n")
                .await;
            let _ = tell.send(head);
        }
    });
    let environment = [
        ("GITHUB_TOKEN", TOKEN),
        ("GITHUB_API_URL", "https://github.example.com/api/v3"),
        ("HTTPS_PROXY", proxy.as_str()),
        ("NO_PROXY", "other.example.com"),
    ];
    let (process, input, output) = spawn(&[], &environment);
    let listener = Listener::default();
    let client =
        rmcp::ServiceExt::serve(listener.clone(), (output, input)).await.expect("a conversation begins");
    let program = Program { client, listener, process };
    let failure = program.fails("get_user", &json!({ "login": "octocat" })).await;
    assert_eq!(failure["code"], "network", "{failure}");
    let head = tokio::time::timeout(PATIENCE, asked.recv()).await.expect("it is asked").expect("a request");
    assert!(head.starts_with("CONNECT github.example.com:443 "), "{head}");
    assert!(!head.contains("canary"), "the proxy was told the token");
    program.finish().await;
}
