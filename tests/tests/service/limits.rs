//! Servers that take whatever they can get: each is held as the service says it is, and nobody else notices.

use std::time::Duration;

use roadstead_test_support::app::{App, AppOptions, programs};
use roadstead_test_support::poll::wait_for;
use roadstead_test_support::process::memory_kib;
use roadstead_test_support::raw::{call, http_client, only_answer, stateless};
use serde_json::{Value, json};

/// An ordinary user that every system has.
const NOBODY: u32 = 65_534;
/// Several looks of the service, on a busy machine.
const PATIENCE: Duration = Duration::from_mins(5);
/// What the service or a shim may take, however much a server writes.
const MODEST_KIB: u64 = 256 * 1024;

/// Every type here has these.
fn limits() -> Value {
    json!({"memory_mb": 64, "cpu": 0.25, "processes": 24, "open_files": 64, "disk_mb": 8, "file_size_mb": 4})
}

/// What each of them does; all but the last two wait until they are known to live.
const FAULTS: [(&str, &[&str]); 9] = [
    ("near", &["--eat-memory", "54", "--after", "3s"]),
    ("balloon", &["--eat-memory", "400", "--after", "3s"]),
    ("forker", &["--hoard-processes", "200", "--after", "500ms"]),
    ("hoarder", &["--hoard-files", "500", "--after", "500ms"]),
    ("large", &["--big-file", "6", "--after", "500ms"]),
    ("filler", &["--many-files", "400", "--after", "500ms"]),
    ("flooder", &["--huge-line", "300000000", "--after", "500ms"]),
    ("spinner", &["--spin"]),
    ("calm", &[]),
];

struct Instance {
    id: String,
    url: String,
    token: String,
}

struct Stage {
    app: App,
    instances: Vec<(&'static str, Instance)>,
}

impl Stage {
    async fn set(user: Option<u32>) -> Self {
        let app = App::start_with(AppOptions { user, ..AppOptions::default() }).await;
        let mut instances = Vec::new();
        for (name, args) in FAULTS {
            let spec = json!({
                "name": name, "display_name": name, "program": programs().join("roadstead-echo"), "args": args,
                "era": "dual", "ready_timeout_s": 30, "resource_limits": limits(),
            });
            let answer = app.ask("POST", "/types", Some(spec)).await;
            assert_eq!(answer.status, 201, "{answer:?}");
        }
        for (name, _) in FAULTS {
            let body = app.launch(json!({"type": name})).await;
            let text = |field: &str| body[field].as_str().expect("a launch tells it").to_owned();
            let instance = Instance { id: text("id"), url: text("access_url"), token: text("access_token") };
            instances.push((name, instance));
        }
        Self { app, instances }
    }

    fn of(&self, name: &str) -> &Instance {
        let found = self.instances.iter().find(|(each, _)| *each == name);
        &found.expect("it was launched").1
    }

    async fn get(&self, name: &str, what: &str) -> Value {
        let answer = self.app.ask("GET", &format!("/instances/{}{what}", self.of(name).id), None).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.body
    }

    /// What the service knows of a limit, once it has looked.
    async fn limit(&self, name: &str, limit: &str) -> Value {
        wait_for(&format!("a look at {name}"), PATIENCE, async || {
            let stats = self.get(name, "/stats").await;
            (!stats["limits"].is_null()).then(|| stats["limits"][limit].clone())
        })
        .await
    }

    /// The line in which a server says how far it came.
    async fn said(&self, name: &str, what: &str) -> String {
        wait_for(&format!("{name} to say {what}"), PATIENCE, async || {
            let logs = self.get(name, "/logs?limit=100").await;
            let lines = logs["data"].as_array().expect("a list").clone();
            let mut lines = lines.into_iter().filter_map(|line| Some(line["message"].as_str()?.to_owned()));
            lines.find(|line| line.contains(what))
        })
        .await
    }

    /// The event about a limit.
    async fn reached(&self, name: &str, limit: &str, at: &str) -> Value {
        wait_for(&format!("{name} to reach {limit} at {at}"), PATIENCE, async || {
            let events = self.get(name, "/events?limit=100").await;
            let events = events["data"].as_array().expect("a list").clone();
            events.into_iter().find(|event| {
                let data = &event["data"];
                event["event_type"] == "limit_reached" && data["limit"] == limit && data["at"] == at
            })
        })
        .await
    }

    /// The error with which an instance was ended.
    async fn ended(&self, name: &str) -> String {
        let row = self.app.wait_status(&self.of(name).id, "error", PATIENCE).await;
        row["error_message"].as_str().or(row["status_reason"].as_str()).expect("a message").to_owned()
    }

    /// A server that was asked something says it in a line that never ends. Nobody waits for its answer.
    async fn ask_the_flooder(&self) {
        let flooder = self.of("flooder");
        let message = call(&json!(1), "echo", &json!({"text": "hello"}), None);
        let sent = stateless(&http_client(false), &flooder.url, &flooder.token, &message).send();
        // Long enough for it to hear; whether it answers is all the same.
        let _ = tokio::time::timeout(Duration::from_secs(3), sent).await;
    }

    /// The neighbour of all those answers, and nothing is said of it.
    async fn nobody_else_notices(&self) {
        let calm = self.of("calm");
        let message = call(&json!(1), "echo", &json!({"text": "hello"}), None);
        let sent = stateless(&http_client(false), &calm.url, &calm.token, &message).send().await;
        let answer = only_answer(sent.expect("the neighbour answers")).await;
        assert!(answer.to_string().contains("hello"), "{answer}");
        let events = self.app.event_types(&calm.id).await;
        assert_eq!(events, ["created", "started"], "nothing is said of who takes little");
        let shim = self.get("flooder", "").await["shim_process_id"].as_i64().expect("it lives on");
        for pid in [self.app.pid(), i32::try_from(shim).expect("it fits")] {
            assert!(memory_kib(pid) < MODEST_KIB, "{pid} takes {} KiB", memory_kib(pid));
        }
    }

    /// What the kernel holds for each process by itself, wherever it runs.
    async fn files_are_held(&self) {
        let said = self.said("hoarder", "open files").await;
        assert!(said.contains("Too many open files"), "{said}");
        let said = self.said("large", "MB of a file").await;
        assert!(said.contains("took 4 MB") && said.contains("File too large"), "{said}");
    }

    /// What nobody but the looks can hold.
    async fn the_disk_is_held(&self) {
        assert_eq!(self.limit("calm", "disk").await["held"], "sampled");
        let error = self.ended("filler").await;
        assert!(error.contains("disk space") && error.contains("of 8 MiB; raise"), "{error}");
        let event = self.reached("filler", "disk", "exceeded").await;
        assert!(event["data"]["value"].as_u64() > event["data"]["limit_value"].as_u64(), "{event}");
    }

    /// Either the kernel refuses children, or the instance is ended for them: as was said.
    async fn processes_are_held(&self) -> Value {
        let held = self.limit("calm", "processes").await["held"].clone();
        if held == "enforced" {
            let said = self.said("forker", "took").await;
            assert!(said.contains("processes, then "), "{said}");
            assert_eq!(self.get("forker", "").await["status"], "running", "it lives with what it has");
        } else {
            let error = self.ended("forker").await;
            assert!(error.contains("processes and threads") && error.contains("of 24; raise"), "{error}");
        }
        held
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_control_group_limits_the_kernel_holds_and_the_service_tells() {
    let stage = Stage::set(None).await;
    stage.ask_the_flooder().await;
    if stage.limit("calm", "memory").await["held"] != "enforced" {
        // No group can be made here: the other test says what holds then.
        return;
    }
    assert_eq!(stage.limit("calm", "cpu").await["held"], "enforced");
    assert_eq!(stage.processes_are_held().await, "enforced");
    let near = stage.reached("forker", "processes", "80%").await;
    assert_eq!(near["data"]["limit_value"], 24, "{near}");
    stage.files_are_held().await;

    let near = stage.reached("near", "memory", "80%").await;
    assert_eq!(near["data"]["limit_value"], 64 << 20, "{near}");
    assert!(near["data"]["value"].as_u64() < Some(64 << 20), "{near}");
    assert_eq!(stage.get("near", "").await["status"], "running", "near is not above");
    let table = stage.get("near", "/stats").await;
    assert!(table["limits"]["memory"]["used"].as_u64() > Some(54 << 20), "{table}");
    let above = stage.reached("balloon", "memory", "exceeded").await;
    assert_eq!(above["data"]["limit_value"], 64 << 20, "{above}");

    stage.the_disk_is_held().await;
    let short = stage.reached("spinner", "cpu", "throttled").await;
    assert_eq!(short["data"]["limit_value"], 250, "{short}");
    let cpu = stage.limit("spinner", "cpu").await;
    assert!(cpu["used"].as_u64().is_some_and(|used| (100..400).contains(&used)), "{cpu}");
    assert!(stage.get("spinner", "/stats").await["limits"]["cpu_waited_seconds"].as_f64() > Some(1.0));
    stage.nobody_else_notices().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nobody_limits_is_looked_at_and_an_instance_above_it_is_ended() {
    let stage = Stage::set(nix::unistd::geteuid().is_root().then_some(NOBODY)).await;
    stage.ask_the_flooder().await;
    let memory = stage.limit("calm", "memory").await;
    if memory["held"] == "enforced" {
        // Groups can be made here by anybody: the other test says what holds then.
        return;
    }
    assert_eq!((&memory["held"], &memory["limit"]), (&json!("sampled"), &json!(64 << 20)));
    assert_eq!(stage.limit("calm", "cpu").await["held"], "absent");
    let error = stage.ended("balloon").await;
    assert!(
        error.contains("more memory than its type allows") && error.contains("of 64 MiB; raise"),
        "{error}"
    );
    stage.reached("balloon", "memory", "exceeded").await;
    stage.reached("near", "memory", "80%").await;
    stage.processes_are_held().await;
    stage.files_are_held().await;
    stage.the_disk_is_held().await;
    assert_eq!(stage.get("near", "").await["status"], "running");
    assert_eq!(stage.get("spinner", "").await["status"], "running", "nobody holds it, as was said");
    stage.nobody_else_notices().await;
}
