//! Searches, releases, users and notifications.

use serde_json::json;

use super::Case;
use crate::fake::Answer;
use crate::fixtures::{issue, notification, release, repository, user, whole_user};

pub fn cases() -> Vec<Case> {
    [searches(), releases(), people()].into_iter().flatten().collect()
}

fn searches() -> Vec<Case> {
    let found = |item| Answer::ok(&json!({ "total_count": 40, "incomplete_results": true, "items": [item] }));
    let hit = json!({
        "name": "classes.js", "path": "src/attributes/classes.js", "sha": "d7212f9dee2dcc18f084d7df8f417b80846ded5a",
        "url": "https://api.github.com/x", "git_url": "https://api.github.com/x", "score": 1.0,
        "html_url": "https://github.com/jquery/jquery/blob/x/src/attributes/classes.js", "repository": repository(),
        "text_matches": [{ "object_type": "FileContent", "property": "content", "fragment": "addClass", "matches": [] }],
    });
    vec![
        Case::new("search_repositories", json!({ "query": "tetris language:rust", "sort": "stars", "order": "desc" }))
            .on("GET /search/repositories", found(repository()))
            .queries("q=tetris+language%3Arust&sort=stars&order=desc&per_page=30")
            .expects(json!({ "total_count": 40, "is_incomplete": true, "items": [{ "stars": 80 }] })),
        Case::new("search_code", json!({ "query": "addClass repo:jquery/jquery" }))
            .on("GET /search/code", found(hit))
            .expects(json!({ "items": [{
                "path": "src/attributes/classes.js", "repository": "octocat/Hello-World", "fragments": ["addClass"],
            }] })),
        Case::new("search_issues", json!({ "query": "windows is:open", "per_page": 5 }))
            .on("GET /search/issues", found(issue(132)))
            .queries("q=windows+is%3Aopen&per_page=5")
            .expects(json!({ "items": [{ "number": 132, "repository": "octocat/Hello-World" }] })),
        Case::new("search_users", json!({ "query": "tom followers:>1000" }))
            .on("GET /search/users", found(user("mojombo")))
            .expects(json!({ "items": [{ "login": "mojombo", "kind": "User" }] })),
    ]
}

fn releases() -> Vec<Case> {
    vec![
        Case::in_repository("list_releases", json!({}))
            .on("GET releases", Answer::ok(&json!([release()])))
            .expects(json!({ "items": [{ "tag": "v1.0.0", "assets": [{ "name": "example.zip", "download_count": 42 }] }] })),
        Case::in_repository("get_release", json!({ "tag": "release/1.0" }))
            .on("GET releases/tags/release/1.0", Answer::ok(&release()))
            .expects(json!({ "tag": "v1.0.0", "author": "octocat" })),
        Case::in_repository("create_release", json!({ "tag": "v1.0.0", "generate_notes": true, "draft": true }))
            .on("POST releases", Answer::json(201, &release()))
            .sends(json!({ "tag_name": "v1.0.0", "generate_release_notes": true, "draft": true }))
            .expects(json!({ "id": 1 })),
    ]
}

fn people() -> Vec<Case> {
    let me = Answer::ok(&whole_user("octocat"))
        .with("x-oauth-scopes", "repo, user")
        .with("x-ratelimit-remaining", "4987");
    vec![
        Case::new("get_me", json!({})).on("GET /user", me).expects(json!({
            "user": { "login": "octocat", "name": "monalisa octocat", "website": "https://github.com/blog" },
            "scopes": ["repo", "user"], "requests_left": 4987,
        })),
        Case::new("get_user", json!({ "login": "octocat" }))
            .on("GET /users/octocat", Answer::ok(&whole_user("octocat")))
            .expects(json!({ "login": "octocat", "public_repos": 2 })),
        Case::new("list_notifications", json!({ "all": true, "per_page": 100 }))
            .on("GET /notifications", Answer::ok(&json!([notification()])))
            .queries("all=true&participating=false&per_page=50")
            .expects(json!({ "items": [{
                "id": "1", "reason": "subscribed", "repository": "octocat/Hello-World",
                "subject": { "title": "Greetings", "kind": "Issue" },
            }] })),
        Case::new("mark_notification_read", json!({ "id": "1" }))
            .on("PATCH /notifications/threads/1", Answer::empty(205))
            .expects(json!({ "done": "Notification 1 is read." })),
    ]
}
