//! Lists in pages, and answers that still hold.

use serde_json::{Value, json};

use crate::fake::{Answer, Fake};
use crate::fixtures::{contents, issue, repository};
use crate::program::Program;

const ISSUES: &str = "GET /repos/octocat/Hello-World/issues";

#[tokio::test]
async fn a_list_is_walked_by_its_next_page() {
    let fake = Fake::start().await;
    let program = Program::start(&fake).await;
    let url = "https://api.github.com/repositories/1300192/issues";
    let first = Answer::ok(&json!([issue(3), issue(2)])).with(
        "link",
        format!("<{url}?per_page=2&page=2>; rel=\"next\", <{url}?per_page=2&page=2>; rel=\"last\""),
    );
    let last = Answer::ok(&json!([issue(1)])).with(
        "link",
        format!("<{url}?per_page=2&page=1>; rel=\"prev\", <{url}?per_page=2&page=1>; rel=\"first\""),
    );
    fake.on(ISSUES, [first, last]);
    let mut numbers = vec![];
    let mut page = json!(1);
    while !page.is_null() {
        let arguments = json!({ "owner": "octocat", "repo": "Hello-World", "per_page": 2, "page": page });
        let listed = program.succeeds("list_issues", &arguments).await;
        numbers.extend(listed["items"].as_array().expect("items").iter().map(|item| item["number"].clone()));
        page = listed["next_page"].clone();
    }
    assert_eq!(numbers, [3, 2, 1].map(Value::from));
    assert_eq!(fake.seen().last().expect("a request").query, "per_page=2&page=2");
    program.finish().await;
}

#[tokio::test]
async fn long_texts_are_cut_in_lists_alone() {
    let fake = Fake::start().await;
    let program = Program::start(&fake).await;
    let mut long = issue(1);
    long["body"] = "ä".repeat(10_000).into();
    fake.on(ISSUES, [Answer::ok(&json!([long]))]);
    fake.on(&format!("{ISSUES}/1"), [Answer::ok(&long)]);
    let mut arguments = json!({ "owner": "octocat", "repo": "Hello-World" });
    let listed = program.succeeds("list_issues", &arguments).await;
    assert!(listed["items"][0]["body"].as_str().expect("a body").ends_with("ä… [cut]"));
    arguments["number"] = 1.into();
    let whole = program.succeeds("get_issue", &arguments).await;
    assert_eq!(whole["body"], long["body"]);
    program.finish().await;
}

#[tokio::test]
async fn what_was_answered_is_asked_for_with_its_tag_and_not_sent_again() {
    let fake = Fake::start().await;
    let program = Program::start(&fake).await;
    let request = "GET /repos/octocat/Hello-World";
    fake.on(request, [Answer::ok(&repository()).with("etag", "W/\"644b5b0155e6404a\"")]);
    let arguments = json!({ "owner": "octocat", "repo": "Hello-World" });
    let first = program.succeeds("get_repository", &arguments).await;
    let again = program.succeeds("get_repository", &arguments).await;
    assert_eq!(first, again);
    let seen = fake.seen();
    assert!(seen[0].headers.get("if-none-match").is_none());
    assert_eq!(seen[1].headers["if-none-match"], "W/\"644b5b0155e6404a\"");
    // Another tag is another answer.
    let mut changed = repository();
    changed["description"] = "changed".into();
    fake.on(request, [Answer::ok(&changed).with("etag", "\"other\"")]);
    let newer = program.succeeds("get_repository", &arguments).await;
    assert_eq!(newer["description"], "changed");
    program.finish().await;
}

#[tokio::test]
async fn a_file_that_is_too_large_for_json_is_read_raw_and_a_folder_is_not_a_file() {
    let fake = Fake::start().await;
    let program = Program::start(&fake).await;
    let mut large = contents();
    large["encoding"] = "none".into();
    large["content"] = "".into();
    large["size"] = 2_000_000.into();
    let text = "line\n".repeat(400_000);
    let request = "GET /repos/octocat/Hello-World/contents/docs";
    fake.on(request, [Answer::ok(&large), Answer::text(200, text)]);
    let mut arguments = json!({ "owner": "octocat", "repo": "Hello-World", "path": "docs", "max_bytes": 12 });
    let file = program.succeeds("get_file", &arguments).await;
    assert_eq!(
        (&file["text"], &file["total_lines"], &file["is_cut"]),
        (&json!("line\nline\n"), &json!(400_000), &json!(true))
    );
    assert_eq!(fake.seen()[1].headers["accept"], "application/vnd.github.raw+json");

    fake.on(request, [Answer::ok(&json!([]))]);
    let told = program.fails("get_file", &arguments).await;
    assert_eq!(told["code"], "invalid_input");
    assert!(told["message"].as_str().expect("words").contains("list_directory"), "{told}");
    for wrong in ["", "a//b", "../../../user", "a/./b"] {
        arguments["path"] = wrong.into();
        fake.reset();
        let told = program.fails("get_file", &arguments).await;
        let asked = fake.seen();
        assert!(
            asked.iter().all(|seen| seen.path == "/repos/octocat/Hello-World/contents"),
            "{wrong}: {asked:?}"
        );
        assert!(wrong.is_empty() || told["code"] == "invalid_input", "{wrong}: {told}");
    }
    program.finish().await;
}
