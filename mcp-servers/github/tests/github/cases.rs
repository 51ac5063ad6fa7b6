//! One case for each tool: what is asked, what GitHub is asked for it, and what comes of it.

mod actions;
mod code;
mod issues;
mod others;
mod pulls;

use serde_json::Value;

use crate::fake::Answer;

/// A call that goes well.
pub struct Case {
    pub tool: &'static str,
    pub arguments: Value,
    /// What GitHub is asked, as `GET /path`, and answers. All of it must be asked.
    pub answers: Vec<(String, Answer)>,
    /// A part of the structured result.
    pub expected: Value,
    /// A part of the body of the last request that had one.
    pub sent: Value,
    /// A part of the query of the last request.
    pub query: &'static str,
}

impl Case {
    /// A call in `octocat/Hello-World`, and the answers to requests below `/repos/octocat/Hello-World`.
    fn in_repository(tool: &'static str, mut arguments: Value) -> Self {
        arguments["owner"] = "octocat".into();
        arguments["repo"] = "Hello-World".into();
        Self::new(tool, arguments)
    }

    fn new(tool: &'static str, arguments: Value) -> Self {
        Self { tool, arguments, answers: vec![], expected: Value::Null, sent: Value::Null, query: "" }
    }

    /// `GET pulls/1` of the repository is answered with this; `GET /user`, of GitHub.
    fn on(mut self, request: &str, answer: Answer) -> Self {
        let (method, path) = request.split_once(' ').expect("a method and a path");
        let whole = if path.starts_with('/') {
            request.to_owned()
        } else {
            format!("{method} /repos/octocat/Hello-World/{path}").trim_end_matches('/').to_owned()
        };
        self.answers.push((whole, answer));
        self
    }

    fn expects(mut self, expected: Value) -> Self {
        self.expected = expected;
        self
    }

    fn sends(mut self, sent: Value) -> Self {
        self.sent = sent;
        self
    }

    fn queries(mut self, query: &'static str) -> Self {
        self.query = query;
        self
    }
}

/// All of them.
pub fn all() -> Vec<Case> {
    [code::cases(), issues::cases(), pulls::cases(), actions::cases(), others::cases()]
        .into_iter()
        .flatten()
        .collect()
}
