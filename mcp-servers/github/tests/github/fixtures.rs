//! What GitHub answers, as its documentation shows it, with the fields that the server has no use for.

use serde_json::{Value, json};

pub fn user(login: &str) -> Value {
    json!({
        "login": login, "id": 1, "node_id": "MDQ6VXNlcjE=", "gravatar_id": "", "type": "User", "site_admin": false,
        "avatar_url": format!("https://github.com/images/error/{login}_happy.gif"),
        "url": format!("https://api.github.com/users/{login}"), "html_url": format!("https://github.com/{login}"),
        "followers_url": format!("https://api.github.com/users/{login}/followers"),
        "repos_url": format!("https://api.github.com/users/{login}/repos"),
    })
}

pub fn whole_user(login: &str) -> Value {
    let mut whole = user(login);
    let more = json!({
        "name": "monalisa octocat", "company": "GitHub", "blog": "https://github.com/blog", "location": "San Francisco",
        "email": "octocat@github.com", "hireable": false, "bio": "There once was...", "twitter_username": "monatheoctocat",
        "public_repos": 2, "public_gists": 1, "followers": 20, "following": 0, "created_at": "2008-01-14T04:33:35Z",
        "updated_at": "2008-01-14T04:33:35Z",
    });
    merge(&mut whole, &more);
    whole
}

pub fn repository() -> Value {
    json!({
        "id": 1_296_269, "node_id": "MDEwOlJlcG9zaXRvcnkxMjk2MjY5", "name": "Hello-World",
        "full_name": "octocat/Hello-World", "owner": user("octocat"), "private": false, "fork": false,
        "html_url": "https://github.com/octocat/Hello-World", "description": "This your first repo!",
        "url": "https://api.github.com/repos/octocat/Hello-World", "homepage": "https://github.com", "language": null,
        "forks_count": 9, "stargazers_count": 80, "watchers_count": 80, "size": 108, "default_branch": "master",
        "open_issues_count": 7, "is_template": true, "topics": ["octocat", "atom", "electron", "api"],
        "has_issues": true, "has_projects": true, "has_wiki": true, "archived": false, "disabled": false,
        "visibility": "public", "pushed_at": "2011-01-26T19:06:43Z", "created_at": "2011-01-26T19:01:12Z",
        "updated_at": "2011-01-26T19:14:43Z", "permissions": { "admin": false, "push": false, "pull": true },
        "license": { "key": "mit", "name": "MIT License", "spdx_id": "MIT", "node_id": "MDc6TGljZW5zZTEz",
            "url": "https://api.github.com/licenses/mit" },
    })
}

pub fn issue(number: u64) -> Value {
    json!({
        "id": 1, "node_id": "MDU6SXNzdWUx", "url": format!("https://api.github.com/repos/octocat/Hello-World/issues/{number}"),
        "repository_url": "https://api.github.com/repos/octocat/Hello-World", "number": number, "state": "open",
        "html_url": format!("https://github.com/octocat/Hello-World/issues/{number}"), "title": "Found a bug",
        "body": "I'm having a problem with this.", "user": user("octocat"), "state_reason": null,
        "labels": [{ "id": 208_045_946, "name": "bug", "description": "Something isn't working", "color": "f29513", "default": true }],
        "assignee": user("octocat"), "assignees": [user("octocat")], "locked": true, "active_lock_reason": "too heated",
        "milestone": { "number": 1, "state": "open", "title": "v1.0", "creator": user("octocat") }, "comments": 0,
        "pull_request": { "url": format!("https://api.github.com/repos/octocat/Hello-World/pulls/{number}") },
        "closed_at": null, "created_at": "2011-04-22T13:33:48Z", "updated_at": "2011-04-22T13:33:48Z",
        "author_association": "COLLABORATOR",
    })
}

pub fn comment() -> Value {
    json!({
        "id": 1, "node_id": "MDEyOklzc3VlQ29tbWVudDE=", "url": "https://api.github.com/repos/octocat/Hello-World/issues/comments/1",
        "html_url": "https://github.com/octocat/Hello-World/issues/1347#issuecomment-1", "body": "Me too",
        "user": user("octocat"), "created_at": "2011-04-14T16:00:49Z", "updated_at": "2011-04-14T16:00:49Z",
        "author_association": "COLLABORATOR",
    })
}

pub fn label() -> Value {
    json!({
        "id": 208_045_946, "node_id": "MDU6TGFiZWwyMDgwNDU5NDY=", "name": "bug", "color": "f29513", "default": true,
        "url": "https://api.github.com/repos/octocat/Hello-World/labels/bug", "description": "Something isn't working",
    })
}

pub fn branch(name: &str) -> Value {
    json!({
        "name": name, "protected": true,
        "commit": { "sha": SHA, "url": format!("https://api.github.com/repos/octocat/Hello-World/commits/{SHA}") },
    })
}

pub const SHA: &str = "6dcb09b5b57875f334f61aebed695e2e4193db5e";
pub const TREE: &str = "691272480426f78a0138979dd3ce63b77f706feb";
pub const NEW_SHA: &str = "7638417db6d59f3c431d3e1f261cc637155684cd";

pub fn reference(sha: &str) -> Value {
    json!({
        "ref": "refs/heads/featureA", "node_id": "MDM6UmVmcmVmcy9oZWFkcy9mZWF0dXJlQQ==",
        "url": "https://api.github.com/repos/octocat/Hello-World/git/refs/heads/featureA",
        "object": { "type": "commit", "sha": sha, "url": format!("https://api.github.com/repos/octocat/Hello-World/git/commits/{sha}") },
    })
}

pub fn git_commit(sha: &str) -> Value {
    json!({
        "sha": sha, "node_id": "MDY6Q29tbWl0", "url": format!("https://api.github.com/repos/octocat/Hello-World/git/commits/{sha}"),
        "html_url": format!("https://github.com/octocat/Hello-World/commit/{sha}"), "message": "my commit message",
        "author": { "date": "2014-11-07T22:01:45Z", "name": "Monalisa Octocat", "email": "octocat@github.com" },
        "tree": { "url": format!("https://api.github.com/repos/octocat/Hello-World/git/trees/{TREE}"), "sha": TREE },
        "parents": [], "verification": { "verified": false, "reason": "unsigned", "signature": null, "payload": null },
    })
}

pub fn commit() -> Value {
    json!({
        "url": format!("https://api.github.com/repos/octocat/Hello-World/commits/{SHA}"), "sha": SHA, "node_id": "MDY6Q29tbWl0",
        "html_url": format!("https://github.com/octocat/Hello-World/commit/{SHA}"),
        "commit": {
            "author": { "name": "Monalisa Octocat", "email": "support@github.com", "date": "2011-04-14T16:00:49Z" },
            "committer": { "name": "Monalisa Octocat", "email": "support@github.com", "date": "2011-04-14T16:00:49Z" },
            "message": "Fix all the bugs", "tree": { "sha": SHA }, "comment_count": 0,
            "verification": { "verified": false, "reason": "unsigned", "signature": null, "payload": null },
        },
        "author": user("octocat"), "committer": {}, "parents": [{ "url": "https://api.github.com/x", "sha": TREE }],
    })
}

pub fn whole_commit() -> Value {
    let mut whole = commit();
    merge(
        &mut whole,
        &json!({ "stats": { "additions": 104, "deletions": 4, "total": 108 }, "files": [file()] }),
    );
    whole
}

pub fn file() -> Value {
    json!({
        "filename": "file1.txt", "additions": 10, "deletions": 2, "changes": 12, "status": "modified", "sha": SHA,
        "raw_url": "https://github.com/octocat/Hello-World/raw/file1.txt", "blob_url": "https://github.com/octocat/x",
        "patch": "@@ -29,7 +29,7 @@\n-old\n+new",
    })
}

/// A file's contents, with the line breaks that GitHub puts into base64.
pub fn contents() -> Value {
    json!({
        "type": "file", "encoding": "base64", "size": 12, "name": "README.md", "path": "docs/README.md",
        "content": "SGVsbG8K\nV29ybGQK\n", "sha": "3d21ec53a331a6f037a91c368710b99387d012c1",
        "url": "https://api.github.com/repos/octocat/Hello-World/contents/docs/README.md", "git_url": "https://api.github.com/x",
        "html_url": "https://github.com/octocat/Hello-World/blob/master/docs/README.md",
        "download_url": "https://raw.githubusercontent.com/octocat/Hello-World/master/docs/README.md", "_links": {},
    })
}

pub fn entry(name: &str, kind: &str) -> Value {
    json!({
        "type": kind, "size": 625, "name": name, "path": format!("lib/{name}"), "sha": SHA, "git_url": "https://api.github.com/x",
        "url": "https://api.github.com/x", "html_url": "https://github.com/x", "download_url": null, "_links": {},
    })
}

pub fn changed() -> Value {
    json!({ "content": entry("hello.txt", "file"), "commit": git_commit(NEW_SHA) })
}

pub fn pull(number: u64) -> Value {
    let end = |label: &str, branch: &str| json!({ "label": label, "ref": branch, "sha": SHA, "user": user("octocat"), "repo": repository() });
    json!({
        "url": format!("https://api.github.com/repos/octocat/Hello-World/pulls/{number}"), "id": 1, "number": number,
        "html_url": format!("https://github.com/octocat/Hello-World/pull/{number}"), "state": "open", "locked": true,
        "title": "Amazing new feature", "user": user("octocat"), "body": "Please pull these awesome changes in!",
        "labels": [label()], "milestone": null, "active_lock_reason": "too heated", "created_at": "2011-01-26T19:01:12Z",
        "updated_at": "2011-01-26T19:01:12Z", "closed_at": null, "merged_at": null, "merge_commit_sha": null,
        "assignee": null, "assignees": [user("octocat")], "requested_reviewers": [user("other_user")],
        "requested_teams": [{ "id": 1, "name": "Justice League", "slug": "justice-league" }],
        "head": end("octocat:new-topic", "new-topic"), "base": end("octocat:master", "master"), "draft": false,
        "merged": false, "mergeable": true, "rebaseable": true, "mergeable_state": "clean", "merged_by": null,
        "comments": 10, "review_comments": 0, "commits": 3, "additions": 100, "deletions": 3, "changed_files": 5,
        "author_association": "OWNER", "auto_merge": null,
    })
}

pub fn review() -> Value {
    json!({
        "id": 80, "node_id": "MDE3OlB1bGxSZXF1ZXN0UmV2aWV3ODA=", "user": user("octocat"), "body": "Here is the body.",
        "state": "APPROVED", "html_url": "https://github.com/octocat/Hello-World/pull/12#pullrequestreview-80",
        "submitted_at": "2019-11-17T17:43:43Z", "commit_id": SHA, "author_association": "COLLABORATOR",
    })
}

pub fn review_comment() -> Value {
    json!({
        "url": "https://api.github.com/repos/octocat/Hello-World/pulls/comments/1", "pull_request_review_id": 42, "id": 10,
        "diff_hunk": "@@ -16,33 +16,40 @@ public class Connection", "path": "file1.txt", "position": 1, "line": 2,
        "commit_id": SHA, "in_reply_to_id": 8, "user": user("octocat"), "body": "Great stuff!", "start_line": 1,
        "created_at": "2011-04-14T16:00:49Z", "updated_at": "2011-04-14T16:00:49Z", "side": "RIGHT", "start_side": "RIGHT",
        "html_url": "https://github.com/octocat/Hello-World/pull/1#discussion-diff-1", "author_association": "NONE",
    })
}

pub fn workflow() -> Value {
    json!({
        "id": 161_335, "node_id": "MDg6V29ya2Zsb3cxNjEzMzU=", "name": "CI", "path": ".github/workflows/blank.yaml",
        "state": "active", "created_at": "2020-01-08T23:48:37.000-08:00", "updated_at": "2020-01-08T23:50:21.000-08:00",
        "url": "https://api.github.com/x", "html_url": "https://github.com/octocat/Hello-World/blob/master/.github/workflows/161335",
    })
}

pub fn run() -> Value {
    json!({
        "id": 30_433_642, "name": "Build", "node_id": "MDEyOldvcmtmbG93IFJ1bjI2OTI4OQ==", "check_suite_id": 42,
        "head_branch": "master", "head_sha": SHA, "path": ".github/workflows/build.yml@main", "run_number": 562,
        "event": "push", "display_title": "Update README.md", "status": "queued", "conclusion": null,
        "workflow_id": 159_038, "url": "https://api.github.com/x", "run_attempt": 1, "actor": user("octocat"),
        "html_url": "https://github.com/octo-org/octo-repo/actions/runs/30433642", "pull_requests": [],
        "created_at": "2020-01-22T19:33:08Z", "updated_at": "2020-01-22T19:33:08Z", "repository": repository(),
    })
}

pub fn job() -> Value {
    json!({
        "id": 399_444_496, "run_id": 29_679_449, "run_url": "https://api.github.com/x", "head_sha": SHA, "status": "completed",
        "conclusion": "success", "started_at": "2020-01-20T17:42:40Z", "completed_at": "2020-01-20T17:44:39Z", "name": "build",
        "steps": [{ "name": "Set up job", "status": "completed", "conclusion": "success", "number": 1 }],
        "html_url": "https://github.com/octo-org/octo-repo/runs/399444496", "labels": ["self-hosted"], "runner_name": "my runner",
    })
}

pub fn check_run(status: &str, conclusion: Value) -> Value {
    let mut run = json!({
        "id": 4, "head_sha": SHA, "external_id": "", "html_url": "https://github.com/github/hello-world/runs/4",
        "status": status, "started_at": "2018-05-04T01:14:52Z", "completed_at": null, "name": "mighty_readme",
        "output": { "title": "Mighty Readme report", "summary": "", "text": "", "annotations_count": 2 },
        "check_suite": { "id": 5 }, "app": { "id": 1, "slug": "octoapp" }, "pull_requests": [],
    });
    run["conclusion"] = conclusion;
    run
}

pub fn status(state: &str) -> Value {
    json!({
        "url": "https://api.github.com/x", "avatar_url": "https://github.com/x", "id": 1, "state": state,
        "description": "Build has completed", "target_url": "https://ci.example.com/1000/output",
        "context": "continuous-integration/jenkins", "created_at": "2012-07-20T01:19:13Z",
    })
}

pub fn release() -> Value {
    json!({
        "url": "https://api.github.com/x", "html_url": "https://github.com/octocat/Hello-World/releases/v1.0.0", "id": 1,
        "tag_name": "v1.0.0", "target_commitish": "master", "name": "v1.0.0", "body": "Description of the release",
        "draft": false, "prerelease": false, "created_at": "2013-02-27T19:35:32Z", "published_at": "2013-02-27T19:35:32Z",
        "author": user("octocat"), "assets": [{
            "url": "https://api.github.com/x", "id": 1, "name": "example.zip", "label": "short description", "state": "uploaded",
            "browser_download_url": "https://github.com/octocat/Hello-World/releases/download/v1.0.0/example.zip",
            "content_type": "application/zip", "size": 1024, "download_count": 42, "uploader": user("octocat"),
        }],
    })
}

pub fn notification() -> Value {
    json!({
        "id": "1", "repository": repository(), "reason": "subscribed", "unread": true, "updated_at": "2014-11-07T22:01:45Z",
        "last_read_at": "2014-11-07T22:01:45Z", "url": "https://api.github.com/notifications/threads/1",
        "subject": { "title": "Greetings", "url": "https://api.github.com/repos/octokit/octokit.rb/issues/123",
            "latest_comment_url": null, "type": "Issue" },
    })
}

pub fn merge(into: &mut Value, more: &Value) {
    let into = into.as_object_mut().expect("an object");
    into.extend(more.as_object().expect("an object").clone());
}
