//! The official conformance suite, run against our own fixture behind the whole product: each era of a client with
//! each era of a server, whether the server speaks over pipes or HTTP, and once through the gateway.
//!
//! What a cell is known to fall short of stands in `tests/conformance/expected/`, with the reason. Anything else
//! fails the test, also an entry that is no longer true, and a check that the same fixture passes when it is asked
//! directly.

#[path = "../conformance/outcome.rs"]
mod outcome;

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use roadstead_test_support::Suite;
use roadstead_test_support::app::{App, programs};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::Mutex;

use crate::outcome::{Expected, Outcome};

/// How long one run of the suite may take on a busy machine.
const SUITE_PATIENCE: Duration = Duration::from_mins(3);
/// How long the fixture may take to listen.
const START_PATIENCE: Duration = Duration::from_mins(1);

/// One cell at a time: some of the suite's scenarios look for half a second and no longer.
static TURN: Mutex<()> = Mutex::const_new(());

/// One combination.
struct Cell {
    /// The requirements: the revision that the suite speaks.
    client: &'static str,
    /// What the fixture speaks: `legacy`, `modern` or `dual`.
    server: &'static str,
    /// How the fixture is reached: `stdio` or `http`.
    transport: &'static str,
    /// Whether the suite goes through the gateway, not to the instance's own port.
    gateway: bool,
}

const LEGACY: &str = "2025-11-25";
const MODERN: &str = "2026-07-28";

#[tokio::test(flavor = "multi_thread")]
async fn a_legacy_client_and_a_legacy_server_over_pipes() {
    conforms(LEGACY, "legacy", "stdio").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_legacy_client_and_a_modern_server_over_pipes() {
    conforms(LEGACY, "modern", "stdio").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_legacy_client_and_a_server_of_both_eras_over_pipes() {
    conforms(LEGACY, "dual", "stdio").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_modern_client_and_a_legacy_server_over_pipes() {
    conforms(MODERN, "legacy", "stdio").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_modern_client_and_a_modern_server_over_pipes() {
    conforms(MODERN, "modern", "stdio").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_modern_client_and_a_server_of_both_eras_over_pipes() {
    conforms(MODERN, "dual", "stdio").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_legacy_client_and_a_legacy_server_over_http() {
    conforms(LEGACY, "legacy", "http").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_legacy_client_and_a_modern_server_over_http() {
    conforms(LEGACY, "modern", "http").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_legacy_client_and_a_server_of_both_eras_over_http() {
    conforms(LEGACY, "dual", "http").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_modern_client_and_a_legacy_server_over_http() {
    conforms(MODERN, "legacy", "http").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_modern_client_and_a_modern_server_over_http() {
    conforms(MODERN, "modern", "http").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_modern_client_and_a_server_of_both_eras_over_http() {
    conforms(MODERN, "dual", "http").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_legacy_client_through_the_gateway() {
    Cell { client: LEGACY, server: "dual", transport: "stdio", gateway: true }.conforms().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_modern_client_through_the_gateway() {
    Cell { client: MODERN, server: "dual", transport: "stdio", gateway: true }.conforms().await;
}

/// At the instance's own port.
async fn conforms(client: &'static str, server: &'static str, transport: &'static str) {
    Cell { client, server, transport, gateway: false }.conforms().await;
}

impl Cell {
    async fn conforms(self) {
        let _turn = TURN.lock().await;
        let (suite, fixture, app) = (Suite::ready(), Fixture::start(self.server).await, App::start().await);
        let (url, token) = self.launch(&app).await;
        // One after the other: each looks at some things for half a second, and counts as missing what comes later.
        let ours = run(&suite, &url, Some(&token), self.client).await;
        let direct = run(&suite, &fixture.url, None, self.client).await;
        let problems = ours.problems(&Expected::read(&self.expected()), &direct);
        let ((all, good), (_, direct)) = (ours.scenarios(), direct.scenarios());
        println!("{}: {good} of {all} scenarios, and {direct} directly", self.name());
        // 2025-11-25 requires 30 scenarios and 2026-07-28 requires 37; the others are run and not scored.
        assert_eq!(all, if self.client == LEGACY { 33 } else { 50 }, "scenarios were run");
        assert!(problems.is_empty(), "{}:\n{}", self.name(), problems.join("\n"));
        let (status, _folder) = app.interrupt().await;
        assert!(status.success(), "{status}");
    }

    fn name(&self) -> String {
        let way = if self.gateway { "gateway" } else { self.transport };
        format!("{}-{}-{way}", if self.client == LEGACY { "legacy" } else { "modern" }, self.server)
    }

    fn expected(&self) -> PathBuf {
        folder().join("expected").join(format!("{}.yml", self.name()))
    }

    /// The fixture as a type, and an instance of it: its URL by the name `localhost`, and its token.
    async fn launch(&self, app: &App) -> (String, String) {
        let answer = app.ask("POST", "/types", Some(self.spec())).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        let instance = app.launch(json!({"type": "conformance"})).await;
        let field = |name: &str| instance[name].as_str().expect("a launch tells it").to_owned();
        let url = field(if self.gateway { "access_url" } else { "port_url" });
        // A browser's rebound name would be another one: the suite checks that against localhost.
        (url.replace("127.0.0.1", "localhost"), field("access_token"))
    }

    fn spec(&self) -> Value {
        let mut spec = json!({
            "name": "conformance", "display_name": "Conformance", "program": programs().join("roadstead-echo"),
            "args": ["--conformance", "--era", self.server], "era": self.server, "ready_timeout_s": 20,
        });
        if self.transport == "http" {
            spec["transport"] = json!("streamable_http");
            spec["url"] = json!("http://localhost:${port}/mcp");
            spec["args"] = json!(["--conformance", "--era", self.server, "--http", "${port}"]);
        }
        spec
    }
}

/// The fixture on its own, over HTTP; dropped, it ends.
struct Fixture {
    url: String,
    _process: Child,
}

impl Fixture {
    async fn start(era: &str) -> Self {
        let mut process = command(&programs().join("roadstead-echo"))
            .args(["--conformance", "--era", era, "--http", "0"])
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the fixture starts");
        let errors = process.stderr.take().expect("piped");
        let mut line = String::new();
        let said = tokio::time::timeout(START_PATIENCE, BufReader::new(errors).read_line(&mut line)).await;
        said.expect("the fixture listens").expect("the fixture says where");
        let url = line.trim().strip_prefix("listening on ").unwrap_or_else(|| panic!("it said {line}"));
        Self { url: url.replace("127.0.0.1", "localhost"), _process: process }
    }
}

/// Runs all that a revision requires, and what is not scored besides.
async fn run(suite: &Suite, url: &str, token: Option<&str>, requirements: &str) -> Outcome {
    let home = tempfile::tempdir().expect("a temporary folder");
    let results = home.path().join("results");
    let origin = &url[..url.match_indices('/').nth(2).expect("a URL has a path").0];
    let mut command = command(&suite.node);
    command
        .arg("--import")
        .arg(folder().join("preload.mjs"))
        .arg(&suite.script)
        .args(["server", "--url", url, "--requirements", requirements, "--output-dir"])
        .arg(&results)
        .env_clear()
        .env("HOME", home.path())
        .env("CONFORMANCE_ORIGIN", origin)
        .stdin(Stdio::null());
    if let Some(token) = token {
        command.env("CONFORMANCE_TOKEN", token);
    }
    let output = tokio::time::timeout(SUITE_PATIENCE, command.output())
        .await
        .unwrap_or_else(|_| panic!("the suite did not end within {SUITE_PATIENCE:?}"))
        .expect("the suite runs");
    // Its exit code says whether all is well by its own count, which knows nothing of ours.
    assert!(
        results.is_dir(),
        "{}\n{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    Outcome::read(&results)
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("conformance")
}

#[expect(
    clippy::disallowed_methods,
    reason = "the suite and the fixture by itself are no part of the product"
)]
fn command(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.kill_on_drop(true);
    command
}
