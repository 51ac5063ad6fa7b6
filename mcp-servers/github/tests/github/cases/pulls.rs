//! Pull requests, checks and reviews.

use serde_json::{Value, json};

use super::Case;
use crate::fake::Answer;
use crate::fixtures::{SHA, check_run, commit, file, pull, review, review_comment, status};

pub fn cases() -> Vec<Case> {
    [pulls(), changes(), reviews()].into_iter().flatten().collect()
}

fn pulls() -> Vec<Case> {
    vec![
        Case::in_repository("list_pull_requests", json!({ "state": "closed", "sort": "long-running", "base": "master" }))
            .on("GET pulls", Answer::ok(&json!([pull(1347)])))
            .queries("state=closed&base=master&sort=long-running&per_page=30")
            .expects(json!({ "items": [{ "number": 1347, "author": "octocat" }] })),
        Case::in_repository("get_pull_request", json!({ "number": 1347 }))
            .on("GET pulls/1347", Answer::ok(&pull(1347)))
            .expects(json!({
                "number": 1347, "mergeable": true, "labels": ["bug"], "requested_reviewers": ["other_user"],
                "head": { "branch": "new-topic", "sha": SHA, "repository": "octocat/Hello-World" },
            })),
        Case::in_repository("create_pull_request", json!({ "title": "t", "head": "new-topic", "base": "master" }))
            .on("POST pulls", Answer::json(201, &pull(1347)))
            .sends(json!({ "title": "t", "head": "new-topic", "base": "master" }))
            .expects(json!({ "number": 1347 })),
        Case::in_repository("update_pull_request", json!({ "number": 1347, "title": "new", "state": "open" }))
            .on("PATCH pulls/1347", Answer::ok(&pull(1347)))
            .sends(json!({ "title": "new", "state": "open" }))
            .expects(json!({ "number": 1347 })),
        Case::in_repository("list_pull_request_files", json!({ "number": 1347 }))
            .on("GET pulls/1347/files", Answer::ok(&json!([file()])))
            .expects(json!({ "items": [{ "path": "file1.txt", "status": "modified", "additions": 10 }] })),
        Case::in_repository("get_pull_request_diff", json!({ "number": 1347, "max_bytes": 10 }))
            .on("GET pulls/1347", Answer::text(200, "diff --git a/a b/a\n"))
            .expects(json!({ "diff": "diff --git", "is_cut": true })),
        Case::in_repository("list_pull_request_commits", json!({ "number": 1347 }))
            .on("GET pulls/1347/commits", Answer::ok(&json!([commit()])))
            .expects(json!({ "items": [{ "sha": SHA }] })),
        Case::in_repository("get_pull_request_checks", json!({ "number": 1347 }))
            .on("GET pulls/1347", Answer::ok(&pull(1347)))
            .on(
                &format!("GET commits/{SHA}/check-runs"),
                Answer::ok(&json!({ "total_count": 3, "check_runs": [
                    check_run("completed", json!("success")), check_run("completed", json!("timed_out")),
                    check_run("in_progress", Value::Null),
                ] })),
            )
            .on(
                &format!("GET commits/{SHA}/status"),
                Answer::ok(&json!({ "state": "success", "statuses": [status("success")], "sha": SHA, "total_count": 1 })),
            )
            .expects(json!({ "sha": SHA, "passed": 2, "failed": 1, "pending": 1, "is_cut": false })),
    ]
}

fn changes() -> Vec<Case> {
    vec![
        Case::in_repository(
            "merge_pull_request",
            json!({ "number": 1347, "merge_method": "squash", "sha": SHA }),
        )
        .on(
            "PUT pulls/1347/merge",
            Answer::ok(&json!({ "sha": SHA, "merged": true, "message": "Pull Request successfully merged" })),
        )
        .sends(json!({ "merge_method": "squash", "sha": SHA }))
        .expects(json!({ "merged": true, "sha": SHA })),
        Case::in_repository(
            "update_pull_request_branch",
            json!({ "number": 1347, "expected_head_sha": SHA }),
        )
        .on(
            "PUT pulls/1347/update-branch",
            Answer::json(
                202,
                &json!({ "message": "Updating pull request branch.", "url": "https://github.com/x" }),
            ),
        )
        .sends(json!({ "expected_head_sha": SHA }))
        .expects(json!({ "done": "GitHub is updating the branch." })),
    ]
}

fn reviews() -> Vec<Case> {
    vec![
        Case::in_repository("list_reviews", json!({ "number": 12 }))
            .on("GET pulls/12/reviews", Answer::ok(&json!([review()])))
            .expects(json!({ "items": [{ "id": 80, "state": "APPROVED", "author": "octocat" }] })),
        Case::in_repository("list_review_comments", json!({ "number": 12 }))
            .on("GET pulls/12/comments", Answer::ok(&json!([review_comment()])))
            .expects(json!({ "items": [{ "id": 10, "review_id": 42, "path": "file1.txt", "line": 2, "side": "RIGHT" }] })),
        Case::in_repository(
            "create_review",
            json!({ "number": 12, "event": "REQUEST_CHANGES", "body": "b", "comments": [
                { "path": "file1.txt", "body": "here", "line": 2, "side": "LEFT" },
            ] }),
        )
        .on("POST pulls/12/reviews", Answer::ok(&review()))
        .sends(json!({ "event": "REQUEST_CHANGES", "comments": [
            { "path": "file1.txt", "body": "here", "line": 2, "side": "LEFT" },
        ] }))
        .expects(json!({ "id": 80 })),
        Case::in_repository("reply_to_review_comment", json!({ "number": 12, "comment_id": 8, "body": "yes" }))
            .on("POST pulls/12/comments/8/replies", Answer::json(201, &review_comment()))
            .sends(json!({ "body": "yes" }))
            .expects(json!({ "id": 10, "in_reply_to_id": 8 })),
        Case::in_repository("request_reviewers", json!({ "number": 12, "reviewers": ["other_user"] }))
            .on("POST pulls/12/requested_reviewers", Answer::json(201, &pull(12)))
            .sends(json!({ "reviewers": ["other_user"] }))
            .expects(json!({ "reviewers": ["other_user"], "teams": ["justice-league"] })),
    ]
}
