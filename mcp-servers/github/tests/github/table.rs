//! Every tool, from one table: that it does its work, and that it tells what went wrong.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::cases::{self, Case};
use crate::fake::{Answer, Fake};
use crate::program::Program;
use crate::schemas::{Schemas, holds};

fn script(fake: &Fake, case: &Case) {
    fake.reset();
    for (request, answer) in &case.answers {
        fake.on(request, [answer.clone()]);
    }
}

#[tokio::test]
async fn every_tool_has_a_case_and_describes_itself() {
    let fake = Fake::start().await;
    let program = Program::start(&fake).await;
    let tools = program.tools().await;
    let offered: BTreeSet<String> = tools.iter().map(|tool| tool.name.to_string()).collect();
    let tried: BTreeSet<String> = cases::all().iter().map(|case| case.tool.to_owned()).collect();
    assert_eq!(offered, tried, "a tool without a case, or a case without a tool");
    for tool in &tools {
        let annotations = tool.annotations.as_ref().expect("annotations");
        let hints = [
            annotations.read_only_hint,
            annotations.destructive_hint,
            annotations.idempotent_hint,
            annotations.open_world_hint,
        ];
        assert!(hints.iter().all(Option::is_some), "{}: {hints:?}", tool.name);
        assert!(!(hints[0] == Some(true) && hints[1] == Some(true)), "{} reads and destroys", tool.name);
        assert!(tool.title.is_some() && annotations.title == tool.title, "{}", tool.name);
        assert!(tool.description.as_ref().is_some_and(|text| text.len() > 10), "{}", tool.name);
        if let Some(properties) = tool.input_schema.get("properties").and_then(Value::as_object)
            && !properties.is_empty()
        {
            assert_eq!(tool.input_schema["additionalProperties"], false, "{}", tool.name);
            let told = |property: &Value| property["description"].is_string() || property["$ref"].is_string();
            assert!(properties.values().all(told), "{}: {properties:?}", tool.name);
        }
    }
    program.finish().await;
}

#[tokio::test]
async fn every_tool_does_its_work() {
    let fake = Fake::start().await;
    let program = Program::start(&fake).await;
    let schemas = Schemas::of(&program.tools().await);
    for case in cases::all() {
        script(&fake, &case);
        let result = program.succeeds(case.tool, &case.arguments).await;
        assert!(holds(&result, &case.expected), "{}: {result}", case.tool);
        schemas.allow(case.tool, &result);
        assert_eq!(fake.unused(), Vec::<String>::new(), "{}", case.tool);
        let seen = fake.seen();
        assert_eq!(seen.len(), case.answers.len(), "{}: {seen:?}", case.tool);
        let sent =
            seen.iter().rev().map(|seen| &seen.body).find(|body| !body.is_null()).unwrap_or(&Value::Null);
        assert!(case.sent.is_null() || holds(sent, &case.sent), "{}: {sent}", case.tool);
        let names = ["owner", "repo", "number"];
        assert!(names.iter().all(|name| sent.get(name).is_none()), "{}: {sent}", case.tool);
        let query = &seen.last().expect("a request").query;
        assert!(case.query.is_empty() || query == case.query, "{}: {query}", case.tool);
    }
    program.finish().await;
}

#[tokio::test]
async fn every_tool_tells_that_something_is_missing_and_that_it_may_not() {
    let fake = Fake::start().await;
    let program = Program::start(&fake).await;
    let schemas = Schemas::of(&program.tools().await);
    for case in cases::all() {
        fake.reset();
        let missing = program.fails(case.tool, &case.arguments).await;
        assert_eq!(
            (&missing["code"], &missing["status"]),
            (&json!("not_found"), &json!(404)),
            "{}",
            case.tool
        );
        assert!(missing["message"].as_str().expect("words").contains("Not Found (404)"), "{missing}");
        schemas.allow(case.tool, &missing);
        assert_eq!(fake.seen().len(), 1, "{}: nothing was done after the failure", case.tool);

        // The last step is the one that does it: what was read before is there.
        script(&fake, &case);
        let (last, _) = case.answers.last().expect("an answer");
        let refused = Answer::message(403, "Must have admin rights to Repository.")
            .with("x-oauth-scopes", "gist")
            .with("x-accepted-oauth-scopes", "repo");
        fake.on(last, [refused]);
        let forbidden = program.fails(case.tool, &case.arguments).await;
        assert_eq!(forbidden["code"], "forbidden", "{}: {forbidden}", case.tool);
        let told = forbidden["message"].as_str().expect("words");
        assert!(told.contains("lacks the scope repo; it has: gist."), "{told}");
        schemas.allow(case.tool, &forbidden);
    }
    let said = program.finish().await;
    assert!(said.contains("GET /repos/octocat/Hello-World failed with 404: NotFound"), "{said}");
}

#[tokio::test]
async fn every_tool_refuses_arguments_that_it_does_not_know() {
    let fake = Fake::start().await;
    let program = Program::start(&fake).await;
    for case in cases::all().into_iter().filter(|case| case.tool != "get_me") {
        let mut arguments = case.arguments.clone();
        arguments["sudo"] = true.into();
        let result = program.call(case.tool, &arguments).await;
        assert_eq!(result.is_error, Some(true), "{}", case.tool);
        let told = &result.content[0].as_text().expect("a text").text;
        assert!(told.contains("unknown field `sudo`"), "{}: {told}", case.tool);
    }
    assert!(fake.seen().is_empty(), "nobody was asked");
    program.finish().await;
}
