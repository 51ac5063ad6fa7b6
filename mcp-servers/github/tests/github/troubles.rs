//! Refusals, limits, slow answers and broken connections: what a model is told, and what is tried again.

use std::sync::Arc;

use rmcp::model::{ClientRequest, Request};
use rmcp::service::PeerRequestOptions;
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::fake::{Answer, Fake, TOKEN};
use crate::fixtures::{issue, reference, repository};
use crate::program::{PATIENCE, Program, params};

const REPOSITORY: &str = "GET /repos/octocat/Hello-World";
const NEW_ISSUE: &str = "POST /repos/octocat/Hello-World/issues";

fn here(mut more: Value) -> Value {
    more["owner"] = "octocat".into();
    more["repo"] = "Hello-World".into();
    more
}

/// What is told of a repository that is answered for like this, and how often it was asked for.
async fn told(program: &Program, fake: &Fake, answer: Answer) -> (Value, usize) {
    fake.reset();
    fake.on(REPOSITORY, [answer]);
    let failure = program.fails("get_repository", &here(json!({}))).await;
    (failure, fake.seen().len())
}

#[track_caller]
fn says(failure: &Value, code: &str, words: &str) {
    assert_eq!(failure["code"], code, "{failure}");
    assert!(failure["message"].as_str().expect("words").contains(words), "{failure}");
}

#[tokio::test]
async fn refusals_say_what_to_do() {
    let fake = Fake::start().await;
    let program = Program::start(&fake).await;
    let cases = [
        (Answer::message(401, "Bad credentials"), "unauthorized", "a new one is needed"),
        (
            Answer::message(403, "Resource not accessible by personal access token")
                .with("x-accepted-github-permissions", "contents=read; issues=read,pull_requests=read"),
            "forbidden",
            "lacks a permission: contents=read or issues=read, pull_requests=read",
        ),
        (
            Answer::message(403, "Resource protected by organization SAML enforcement.").with(
                "x-github-sso",
                "required; url=https://github.com/orgs/octo/sso?authorization_request=A",
            ),
            "forbidden",
            "at https://github.com/orgs/octo/sso?authorization_request=A",
        ),
        (
            Answer::message(404, "Not Found")
                .with("x-oauth-scopes", "")
                .with("x-accepted-oauth-scopes", "repo"),
            "not_found",
            "lacks the scope repo; it has: none",
        ),
        (Answer::message(409, "Git Repository is empty."), "conflict", "repeat the change"),
        (Answer::message(405, "Base branch was modified."), "conflict", "a rule of the repository"),
        (Answer::message(410, "Issues are disabled for this repo"), "not_found", "Issues are disabled"),
        (Answer::message(451, "Repository access blocked"), "refused", "access blocked (451)"),
        (
            Answer::json(
                422,
                &json!({ "message": "Validation Failed", "errors": [
                    { "resource": "Label", "code": "already_exists", "field": "name" }, "Sha is missing.",
                    { "resource": "Issue", "message": "title is too long" },
                ] }),
            ),
            "invalid_input",
            "Details: Label.name: already_exists; Sha is missing; Issue: title is too long.",
        ),
        (Answer::text(200, "<html>"), "unexpected_answer", "does not understand"),
        (Answer::ok(&json!({ "full_name": 7 })), "unexpected_answer", "invalid type"),
        (Answer::empty(302).with("location", "ftp://127.0.0.1/"), "unexpected_answer", "does not go to"),
        (
            Answer::empty(301).with("location", "/repos/octocat/Hello-World"),
            "unexpected_answer",
            "without end",
        ),
    ];
    for (answer, code, words) in cases {
        says(&told(&program, &fake, answer).await.0, code, words);
    }
    program.finish().await;
}

#[tokio::test]
async fn the_token_is_masked_even_if_the_service_repeats_it() {
    let fake = Fake::start().await;
    let program = Program::start(&fake).await;
    let (failure, _) = told(&program, &fake, Answer::message(400, &format!("who is {TOKEN}?"))).await;
    says(&failure, "invalid_input", "who is ***?");
    program.finish().await;
}

#[tokio::test]
async fn a_used_up_limit_says_when_to_come_back() {
    let fake = Fake::start().await;
    let program = Program::start(&fake).await;
    let used_up = Answer::message(403, "API rate limit exceeded for user ID 1.")
        .with("x-ratelimit-remaining", "0")
        .with("x-ratelimit-reset", "1445416080")
        .with("date", "Wed, 21 Oct 2015 07:28:00 GMT");
    let (failure, asked) = told(&program, &fake, used_up).await;
    says(&failure, "rate_limited", "Try again in 3600 s.");
    assert_eq!((&failure["retry_after_s"], &failure["status"], asked), (&json!(3600), &json!(403), 1));
    let secondary = Answer::message(403, "You have exceeded a secondary rate limit.");
    let (failure, asked) = told(&program, &fake, secondary).await;
    says(&failure, "rate_limited", "Try again in 60 s.");
    assert_eq!((&failure["retry_after_s"], asked), (&json!(60), 1));
    program.finish().await;
}

#[tokio::test]
async fn a_short_wait_is_waited_even_for_what_changes_something() {
    let fake = Fake::start().await;
    let program = Program::start(&fake).await;
    let secondary = |status| {
        Answer::message(status, "You have exceeded a secondary rate limit.").with("retry-after", "1")
    };
    let made = Answer::json(201, &issue(1));
    fake.on(NEW_ISSUE, [secondary(403), secondary(429), made]);
    let began = std::time::Instant::now();
    program.succeeds("create_issue", &here(json!({ "title": "t" }))).await;
    assert!(began.elapsed().as_secs_f64() > 1.9, "it came back too early");
    assert_eq!(fake.seen().len(), 3);
    program.finish().await;
}

#[tokio::test]
async fn trouble_that_passes_is_not_told_if_nothing_was_changed() {
    let fake = Fake::start().await;
    let program = Program::start(&fake).await;
    let whole = Answer::ok(&repository());
    fake.on(REPOSITORY, [Answer::text(502, "<html>"), whole.clone().cut(), whole]);
    program.succeeds("get_repository", &here(json!({}))).await;
    assert_eq!(fake.seen().len(), 3);

    // What may have been done is not done twice.
    for (answer, code) in [
        (Answer::message(502, "Server Error"), "unavailable"),
        (Answer::json(201, &issue(1)).cut(), "network"),
    ] {
        fake.reset();
        fake.on(NEW_ISSUE, [answer]);
        let failure = program.fails("create_issue", &here(json!({ "title": "t" }))).await;
        assert_eq!((&failure["code"], fake.seen().len()), (&json!(code), 1), "{failure}");
    }
    program.finish().await;
}

#[tokio::test]
async fn a_service_that_stays_away_is_asked_some_times_and_then_told_of() {
    let fake = Fake::start().await;
    let program = Program::start(&fake).await;
    let (failure, asked) = told(&program, &fake, Answer::message(503, "Unavailable")).await;
    says(&failure, "unavailable", "githubstatus.com");
    assert_eq!(asked, 4);
    let arguments = here(json!({}));
    drop(fake);
    let failure = program.fails("get_repository", &arguments).await;
    says(&failure, "network", "GitHub");
    program.finish().await;
}

#[tokio::test]
async fn a_slow_answer_is_given_up() {
    let fake = Fake::start().await;
    let program = Program::start_with(&fake, &["--request-timeout-s", "1"]).await;
    fake.on(NEW_ISSUE, [Answer::never()]);
    let failure = program.fails("create_issue", &here(json!({ "title": "t" }))).await;
    says(&failure, "timeout", "within 1 s");
    assert_eq!(fake.seen().len(), 1);
    program.finish().await;
}

#[tokio::test]
async fn an_answer_that_is_too_large_is_not_carried() {
    let fake = Fake::start().await;
    let program = Program::start(&fake).await;
    let (failure, asked) = told(&program, &fake, Answer::text(200, vec![b' '; 9 * 1024 * 1024])).await;
    says(&failure, "too_large", "Ask for less");
    assert_eq!(asked, 1);
    program.finish().await;
}

#[tokio::test]
async fn whoever_waits_is_told_that_it_goes_on() {
    let fake = Fake::start().await;
    let program = Program::start(&fake).await;
    let until = Arc::new(Notify::new());
    fake.on(REPOSITORY, [Answer::ok(&repository()).held(&until)]);
    let arguments = here(json!({}));
    let calling = program.succeeds("get_repository", &arguments);
    let telling = async {
        tokio::time::timeout(PATIENCE, program.listener.came.notified()).await.expect("progress is told");
        until.notify_one();
    };
    tokio::join!(calling, telling);
    let told = program.listener.told.lock().expect("no holder panics").clone();
    assert_eq!(told[0].message.as_deref(), Some("waiting for GitHub"));
    program.finish().await;
}

#[tokio::test]
async fn a_push_tells_its_steps_and_ends_when_somebody_else_was_faster() {
    let fake = Fake::start().await;
    let program = Program::start(&fake).await;
    let case = crate::cases::all().into_iter().find(|case| case.tool == "push_files").expect("a case");
    for (request, answer) in &case.answers {
        fake.on(request, [answer.clone()]);
    }
    program.succeeds("push_files", &case.arguments).await;
    let told = program.listener.told.lock().expect("no holder panics").clone();
    let steps: Vec<(f64, Option<f64>)> = told.iter().map(|step| (step.progress, step.total)).collect();
    assert_eq!(steps, (1..=7).map(|step| (f64::from(step), Some(7.0))).collect::<Vec<_>>());
    let tree = fake.seen().into_iter().find(|seen| seen.path.ends_with("/git/trees")).expect("a tree");
    assert_eq!(
        tree.body["tree"],
        json!([
            { "path": "a.txt", "mode": "100755", "type": "blob", "content": "a" },
            { "path": "b.bin", "mode": "100644", "type": "blob", "sha": "b10b" },
            { "path": "c.txt", "mode": "100644", "type": "blob", "sha": null },
        ])
    );
    let refused = Answer::message(422, "Update is not a fast forward");
    fake.on("PATCH /repos/octocat/Hello-World/git/refs/heads/featureA", [refused]);
    says(&program.fails("push_files", &case.arguments).await, "invalid_input", "Somebody else has pushed");

    fake.reset();
    let nothing = here(json!({ "branch": "b", "message": "m", "files": [] }));
    says(&program.fails("push_files", &nothing).await, "invalid_input", "1 to 200 files");
    let both = here(
        json!({ "branch": "b", "message": "m", "files": [{ "path": "a", "text": "a", "delete": true }] }),
    );
    fake.on("GET /repos/octocat/Hello-World/git/ref/heads/b", [Answer::ok(&reference("5ha"))]);
    let parent = json!({ "sha": "5ha", "tree": { "sha": "7ree" } });
    fake.on("GET /repos/octocat/Hello-World/git/commits/5ha", [Answer::ok(&parent)]);
    says(&program.fails("push_files", &both).await, "invalid_input", "exactly one of");
    program.finish().await;
}

#[tokio::test]
async fn a_cancelled_call_stops_asking() {
    let fake = Fake::start().await;
    let program = Program::start(&fake).await;
    fake.on(REPOSITORY, [Answer::never()]);
    let request = ClientRequest::CallToolRequest(Request::new(params("get_repository", &here(json!({})))));
    let calling = program.client.send_cancellable_request(request, PeerRequestOptions::no_options()).await;
    fake.has_seen(1).await;
    calling.expect("it was sent").cancel(Some("enough".to_owned())).await.expect("it is told");
    // The server is free for the next one, and ends at once although nothing was ever answered.
    fake.on("GET /users/octocat", [Answer::ok(&crate::fixtures::whole_user("octocat"))]);
    program.succeeds("get_user", &json!({ "login": "octocat" })).await;
    program.finish().await;
}
