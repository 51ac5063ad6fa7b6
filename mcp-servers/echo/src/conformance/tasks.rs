//! The tools of the tasks extension (`io.modelcontextprotocol/tasks`).
//!
//! The server decides what becomes a task, and makes none for a client that has not declared the extension: a tool
//! that can do without runs at once then, any other refuses.

use std::time::Duration;

use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ClientCapabilities, ContentBlock,
    CreateTaskResult, ErrorData, JsonObject, Tool,
};
use rmcp::task_manager::{TaskContext, TaskExit, TaskOptions};
use serde_json::{Value, json};

use super::ask::{self, Outcome, Turn};
use super::tools::{text, tool};
use super::{Asked, Conformance};

/// How long the jobs take that take no argument.
const JOB: Duration = Duration::from_millis(200);
/// How often clients are asked to look.
const POLL_INTERVAL_MS: u64 = 200;
/// The longest that a computation is let run.
const LONGEST_SECONDS: f64 = 3600.0;
/// The longest that a call waits for one that is no task: the suite asks for a minute of those that must be one.
const LONGEST_CALL: Duration = Duration::from_secs(1);

const NAMES: [&str; 7] = [
    "greet",
    "slow_compute",
    "failing_job",
    "protocol_error_job",
    "confirm_delete",
    "multi_input",
    "test_tool_with_task",
];
/// They cannot be had without a task.
const REQUIRED: [&str; 4] = ["failing_job", "confirm_delete", "multi_input", "test_tool_with_task"];

type Worked = Result<CallToolResult, TaskExit>;

pub fn has(name: &str) -> bool {
    NAMES.contains(&name)
}

pub fn tools() -> impl Iterator<Item = Tool> {
    NAMES.iter().map(|name| {
        let (what, properties) = match *name {
            "greet" => ("Greets, never as a task", json!({"name": {"type": "string"}})),
            "slow_compute" => {
                ("Takes some seconds", json!({"seconds": {"type": "number"}, "label": {"type": "string"}}))
            }
            "failing_job" => ("A task that ends with an error of the tool", json!({})),
            "protocol_error_job" => ("A task that fails", json!({})),
            "confirm_delete" => ("A task that asks the user once", json!({"filename": {"type": "string"}})),
            "multi_input" => ("A task that asks the user two things at once", json!({})),
            _ => ("Asks the user, then becomes a task", json!({})),
        };
        tool(name, what, json!({"type": "object", "properties": properties}))
    })
}

impl Conformance {
    pub(super) async fn call_task_tool(
        &self,
        request: CallToolRequestParams,
        arguments: &JsonObject,
        asked: &Asked,
    ) -> Result<CallToolResponse, ErrorData> {
        let may_be_task = asked.client_capabilities().is_some_and(|declared| declared.supports_tasks());
        let name: &str = &request.name;
        if REQUIRED.contains(&name) && !may_be_task {
            let needed = ClientCapabilities::builder().enable_tasks().build();
            return Err(ErrorData::missing_required_client_capability(needed));
        }
        let string = |name: &str| arguments.get(name).and_then(Value::as_str).map(str::to_owned);
        match name {
            "greet" => {
                Ok(text(format!("Hello, {}!", string("name").unwrap_or_else(|| "friend".to_owned()))).into())
            }
            "slow_compute" => {
                let seconds = arguments.get("seconds").and_then(Value::as_f64).unwrap_or(1.0);
                let time = Duration::from_secs_f64(seconds.clamp(0.0, LONGEST_SECONDS));
                if may_be_task {
                    return Ok(self.task(move |task| compute(time, task)));
                }
                let time = time.min(LONGEST_CALL);
                tokio::time::sleep(time).await;
                Ok(computed(time).into())
            }
            "failing_job" => Ok(self.task(|_| fail())),
            "protocol_error_job" if may_be_task => Ok(self.task(|_| break_down())),
            "protocol_error_job" => Err(broken()),
            "confirm_delete" => {
                let file = string("filename").unwrap_or_else(|| "file.txt".to_owned());
                Ok(self.task(move |task| confirm_delete(file, task)))
            }
            "multi_input" => Ok(self.task(ask_twice)),
            _ => self.ask_then_work(request, asked).await,
        }
    }

    fn task<F>(&self, work: impl FnOnce(TaskContext) -> F + Send + 'static) -> CallToolResponse
    where
        F: Future<Output = Worked> + Send + 'static,
    {
        let options = TaskOptions::default().with_poll_interval_ms(POLL_INTERVAL_MS);
        CreateTaskResult::new(self.shared.tasks.spawn(options, move |task| Box::pin(work(task)))).into()
    }

    /// The questions are asked before there is a task, so the task needs no input of its own.
    async fn ask_then_work(
        &self,
        request: CallToolRequestParams,
        asked: &Asked,
    ) -> Result<CallToolResponse, ErrorData> {
        let turn = |given: &ask::Given| {
            if given.answer("user_name").is_some() {
                return Turn::Done(given.field("user_name", "name").unwrap_or("friend").to_owned());
            }
            let form = ask::form("What is your name?", &json!({"name": {"type": "string"}}), &["name"]);
            Turn::Ask(ask::requests([("user_name", form)]), None)
        };
        match ask::through(asked, request.input_responses, request.request_state, turn).await? {
            Outcome::Done(name) => Ok(self.task(move |_| async move {
                tokio::time::sleep(JOB).await;
                Ok(text(format!("Hello, {name}! (async)")))
            })),
            Outcome::Ask(required) => Ok(required.into()),
            Outcome::Refused(reason) => Ok(CallToolResult::error(vec![ContentBlock::text(reason)]).into()),
        }
    }
}

async fn compute(time: Duration, task: TaskContext) -> Worked {
    tokio::select! {
        () = task.cancelled() => Err(TaskExit::Cancelled),
        () = tokio::time::sleep(time) => Ok(computed(time)),
    }
}

fn computed(time: Duration) -> CallToolResult {
    text(format!("computed for {} s", time.as_secs_f64()))
}

async fn fail() -> Worked {
    tokio::time::sleep(JOB).await;
    Ok(CallToolResult::error(vec![ContentBlock::text("the job failed, as it always does")]))
}

async fn break_down() -> Worked {
    tokio::time::sleep(JOB).await;
    Err(TaskExit::Error(broken()))
}

fn broken() -> ErrorData {
    ErrorData::internal_error("the job broke down, as it always does", None)
}

async fn confirm_delete(file: String, task: TaskContext) -> Worked {
    let form = ask::form(&format!("Delete {file}?"), &json!({"confirm": {"type": "boolean"}}), &["confirm"]);
    let answer = task.request_input("confirm", form).await?;
    let confirmed = answer["content"]["confirm"].as_bool().unwrap_or(false);
    Ok(text(format!("{file} {}", if confirmed { "deleted" } else { "kept" })))
}

async fn ask_twice(task: TaskContext) -> Worked {
    let value = |what: &str| ask::form(what, &json!({"value": {"type": "string"}}), &["value"]);
    let (first, second) = tokio::join!(
        task.request_input("first", value("Provide the first value")),
        task.request_input("second", value("Provide the second value")),
    );
    let (first, second) = (first?, second?);
    let said = |answer: &Value| answer["content"]["value"].as_str().unwrap_or("(none)").to_owned();
    Ok(text(format!("{} and {}", said(&first), said(&second))))
}
