//! One row: the server driven directly, then through the port and the gateway of an instance of it.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use futures_util::StreamExt;
use roadstead_test_support::App;
use serde_json::{Value, json};

use crate::client::{Client, Group, Kind, Offers, Outcome, Target, command_line, drive};
use crate::subject::{Installed, Subject, Transport};

/// How long a server that speaks HTTP may take to listen.
const LISTEN_PATIENCE: Duration = Duration::from_mins(1);
/// The pause between two looks.
const LOOK: Duration = Duration::from_millis(50);

/// The ways to an instance.
pub const WAYS: [&str; 2] = ["port", "gateway"];

/// What came of one server.
#[derive(Debug)]
pub struct Row {
    /// The server.
    pub subject: Subject,
    /// Why nothing could be tried at all, or not through Roadstead.
    pub problem: Option<Problem>,
    /// The clients that drove it directly.
    pub direct: BTreeMap<&'static str, Outcome>,
    /// Every client through every way.
    pub through: BTreeMap<(&'static str, &'static str), Outcome>,
}

/// Why a row has no cells.
#[derive(Debug)]
pub enum Problem {
    /// The server is not there.
    NotInstalled(String),
    /// It cannot be defined as a type.
    NotLaunched(String),
}

/// Runs a row.
pub async fn row(app: &App, installed: &Installed, subject: Subject, clients: &[Client], jobs: usize) -> Row {
    let mut row = Row { subject, problem: None, direct: BTreeMap::new(), through: BTreeMap::new() };
    let program = match &row.subject.program {
        Ok(program) => program.clone(),
        Err(problem) => {
            row.problem = Some(Problem::NotInstalled(problem.clone()));
            return row;
        }
    };
    let jobs = if row.subject.alone { 1 } else { jobs };
    let call = row.subject.call_for(&app.url);
    let offers = directly(&mut row, installed, &program, clients, &call, jobs).await;
    match define(app, &row.subject, &program).await {
        Ok(credential) => {
            through(app, &mut row, installed, credential, clients, (&call, offers), jobs).await;
        }
        Err(problem) => row.problem = Some(Problem::NotLaunched(problem)),
    }
    row
}

async fn directly(
    row: &mut Row,
    installed: &Installed,
    program: &Path,
    clients: &[Client],
    call: &Value,
    jobs: usize,
) -> Offers {
    let Ok(folder) = tempfile::tempdir() else { return Offers::default() };
    let (port, transport) = (free_port(), row.subject.transport);
    let filled = |text: &str| {
        let text = text.replace("${dir}", folder.path().to_str().unwrap_or("/tmp"));
        text.replace("${port}", &port.to_string())
    };
    let args: Vec<String> = row.subject.args.iter().map(|arg| filled(arg)).collect();
    let mut env: Vec<(String, String)> =
        row.subject.env.iter().map(|(name, value)| ((*name).to_owned(), filled(value))).collect();
    env.extend(row.subject.secrets.iter().map(|it| (it.variable.to_owned(), it.value.to_owned())));
    env.push(("HOME".to_owned(), filled("${dir}")));
    let command = command_line(program, &args);
    let (target, _server) = if transport == Transport::Stdio {
        (Target::Command { command, env }, None)
    } else {
        let server = start(&command, &env, port).await;
        let token = row.subject.bearer.and_then(|slot| {
            row.subject.secrets.iter().find(|secret| secret.slot == slot).map(|it| it.value.to_owned())
        });
        (Target::Url { url: filled(&row.subject.url), token, transport }, server)
    };
    let able = |client: &Client| match transport {
        Transport::Stdio => client.starts_servers(),
        Transport::StreamableHttp => client.kind != Kind::PythonSse,
        Transport::Sse => stand_in(transport) == *client,
    };
    // The first finds out what the server offers; those who cannot be compared with themselves, are with it.
    let first = stand_in(transport);
    let outcome = drive(installed, first, &target, call, Offers::default()).await;
    let offers = match &outcome.result {
        Ok(report) => Offers { resources: report.resources.is_some(), prompts: report.prompts.is_some() },
        Err(_) => Offers::default(),
    };
    tell(&row.subject, first, "directly", &outcome);
    row.direct.insert(first.name, outcome);
    let rest = clients.iter().filter(|client| able(client) && **client != first);
    let (subject, target) = (&row.subject, &target);
    let outcomes: Vec<(&str, Outcome)> = futures_util::stream::iter(rest)
        .map(async |client| {
            let outcome = drive(installed, *client, target, call, offers).await;
            tell(subject, *client, "directly", &outcome);
            (client.name, outcome)
        })
        .buffer_unordered(jobs)
        .collect()
        .await;
    row.direct.extend(outcomes);
    offers
}

/// The client whose direct run others are measured by that have none of their own.
pub fn stand_in(transport: Transport) -> Client {
    let kind = if transport == Transport::Sse { Kind::PythonSse } else { Kind::Python };
    let found = crate::client::ALL.into_iter().find(|client| client.kind == kind && client.mode == "legacy");
    found.expect("the table of clients has one")
}

async fn through(
    app: &App,
    row: &mut Row,
    installed: &Installed,
    credential: Value,
    clients: &[Client],
    (call, offers): (&Value, Offers),
    jobs: usize,
) {
    let subject = &row.subject;
    // An instance for each client: some leave their sessions behind, and an instance has only so many.
    let outcomes: Vec<[((&str, &str), Outcome); 2]> = futures_util::stream::iter(clients)
        .map(async |client| {
            let instance = launch(app, subject, &credential).await;
            let mut cells = Vec::new();
            for way in WAYS {
                let outcome = match &instance {
                    Ok(instance) => {
                        drive(installed, *client, &target(instance, *client, way), call, offers).await
                    }
                    Err(problem) => Outcome { result: Err(problem.clone()), seconds: 0.0 },
                };
                tell(subject, *client, way, &outcome);
                cells.push(((client.name, way), outcome));
            }
            if let Ok(instance) = instance {
                let id = instance["id"].as_str().unwrap_or_default();
                let deleted = app.ask("DELETE", &format!("/instances/{id}"), None).await;
                if deleted.status != 204 {
                    eprintln!("  {id} could not be deleted: {}", deleted.body);
                }
            }
            cells.try_into().expect("a cell for each way")
        })
        .buffer_unordered(jobs)
        .collect()
        .await;
    row.through.extend(outcomes.into_iter().flatten());
}

fn target(instance: &Value, client: Client, way: &str) -> Target {
    let url = instance[if way == "port" { "port_url" } else { "access_url" }].as_str().unwrap_or_default();
    let token = instance["access_token"].as_str().map(str::to_owned);
    let (url, transport) = if client.kind == Kind::PythonSse {
        (format!("{}/sse", url.trim_end_matches("/mcp")), Transport::Sse)
    } else {
        (url.to_owned(), Transport::StreamableHttp)
    };
    Target::Url { url, token, transport }
}

/// Defines the type; answers with the id of its credential, or null where it has no secrets.
async fn define(app: &App, subject: &Subject, program: &Path) -> Result<Value, String> {
    let defined = app.ask("POST", "/types", Some(subject.spec(program))).await;
    if defined.status != 201 {
        return Err(format!("the type was refused: {}", defined.body["error"]));
    }
    if subject.secrets.is_empty() {
        return Ok(Value::Null);
    }
    let values: serde_json::Map<String, Value> =
        subject.secrets.iter().map(|it| (it.slot.to_owned(), json!(it.value))).collect();
    let credential = json!({"type": subject.name, "name": "dummy", "values": values});
    let mut kept = app.ask("POST", "/credentials", Some(credential)).await;
    if kept.status != 201 {
        return Err(format!("the credential was refused: {}", kept.body["error"]));
    }
    Ok(kept.body["id"].take())
}

async fn launch(app: &App, subject: &Subject, credential: &Value) -> Result<Value, String> {
    let mut body = json!({"type": subject.name});
    if !credential.is_null() {
        body["credential_id"] = credential.clone();
    }
    let launched = app.ask("POST", "/instances", Some(body)).await;
    if launched.status != 201 {
        return Err(format!("it was not launched: {}", launched.body["error"]));
    }
    Ok(launched.body)
}

/// Starts a server that speaks HTTP, and waits until it listens. It ends with what is answered.
#[expect(clippy::disallowed_methods, reason = "the servers are started directly to compare with")]
async fn start(
    command: &[String],
    env: &[(String, String)],
    port: u16,
) -> Option<(tokio::process::Child, Group)> {
    let mut process = tokio::process::Command::new(&command[0]);
    process.args(&command[1..]).env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin");
    process.envs(env.iter().map(|(name, value)| (name, value))).process_group(0).kill_on_drop(true);
    let child = process.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().ok()?;
    let group = Group::of(&child);
    let listening = async {
        // Some listen on one of the two loopback addresses only.
        while tokio::net::TcpStream::connect(("localhost", port)).await.is_err() {
            tokio::time::sleep(LOOK).await;
        }
    };
    // One that never listens fails its cells, each with what its client says.
    let _ = tokio::time::timeout(LISTEN_PATIENCE, listening).await;
    Some((child, group))
}

fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
    listener.local_addr().expect("a listener has an address").port()
}

fn tell(subject: &Subject, client: Client, way: &str, outcome: &Outcome) {
    let what = match &outcome.result {
        Ok(report) => format!("ok, {} tools, {}", report.tools, report.protocol.as_deref().unwrap_or("–")),
        Err(reason) => reason.chars().take(160).collect(),
    };
    eprintln!("  {:<20} {:<24} {:<8} {:>5.1} s  {what}", subject.name, client.name, way, outcome.seconds);
}
