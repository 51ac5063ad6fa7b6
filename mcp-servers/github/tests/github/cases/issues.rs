//! Issues, comments and labels.

use serde_json::json;

use super::Case;
use crate::fake::Answer;
use crate::fixtures::{comment, issue, label};

pub fn cases() -> Vec<Case> {
    vec![
        Case::in_repository("list_issues", json!({ "state": "all", "labels": ["bug", "ui"], "assignee": "none" }))
            .on("GET issues", Answer::ok(&json!([issue(1347)])))
            .queries("state=all&labels=bug%2Cui&assignee=none&per_page=30")
            .expects(json!({ "items": [{
                "number": 1347, "title": "Found a bug", "author": "octocat", "labels": ["bug"], "assignees": ["octocat"],
                "milestone": "v1.0", "is_pull_request": true, "repository": "octocat/Hello-World", "locked": true,
            }] })),
        Case::in_repository("get_issue", json!({ "number": 1347 }))
            .on("GET issues/1347", Answer::ok(&issue(1347)))
            .expects(json!({ "number": 1347, "body": "I'm having a problem with this." })),
        Case::in_repository("create_issue", json!({ "title": "Found a bug", "labels": ["bug"] }))
            .on("POST issues", Answer::json(201, &issue(1347)))
            .sends(json!({ "title": "Found a bug", "labels": ["bug"] }))
            .expects(json!({ "number": 1347 })),
        Case::in_repository("update_issue", json!({ "number": 1347, "state": "closed", "state_reason": "not_planned" }))
            .on("PATCH issues/1347", Answer::ok(&issue(1347)))
            .sends(json!({ "state": "closed", "state_reason": "not_planned" }))
            .expects(json!({ "number": 1347 })),
        Case::in_repository("list_issue_comments", json!({ "number": 1347, "since": "2011-01-01T00:00:00Z" }))
            .on("GET issues/1347/comments", Answer::ok(&json!([comment()])))
            .queries("since=2011-01-01T00%3A00%3A00Z&per_page=30")
            .expects(json!({ "items": [{ "id": 1, "author": "octocat", "body": "Me too" }] })),
        Case::in_repository("add_issue_comment", json!({ "number": 1347, "body": "Me too" }))
            .on("POST issues/1347/comments", Answer::json(201, &comment()))
            .sends(json!({ "body": "Me too" }))
            .expects(json!({ "id": 1, "body": "Me too" })),
        Case::in_repository("list_labels", json!({}))
            .on("GET labels", Answer::ok(&json!([label()])))
            .expects(json!({ "items": [{ "name": "bug", "color": "f29513" }] })),
        Case::in_repository("create_label", json!({ "name": "bug", "color": "f29513" }))
            .on("POST labels", Answer::json(201, &label()))
            .sends(json!({ "name": "bug", "color": "f29513" }))
            .expects(json!({ "name": "bug", "description": "Something isn't working" })),
    ]
}
