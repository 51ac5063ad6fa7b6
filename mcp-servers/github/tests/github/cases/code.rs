//! Repositories, branches, commits and files.

use serde_json::json;

use super::Case;
use crate::fake::Answer;
use crate::fixtures::{
    NEW_SHA, SHA, TREE, branch, changed, commit, contents, entry, git_commit, reference, repository,
    whole_commit,
};

pub fn cases() -> Vec<Case> {
    [repositories(), branches(), files()].into_iter().flatten().collect()
}

fn repositories() -> Vec<Case> {
    vec![
        Case::in_repository("get_repository", json!({})).on("GET ", Answer::ok(&repository())).expects(
            json!({
                "full_name": "octocat/Hello-World", "license": "MIT", "stars": 80, "default_branch": "master",
                "url": "https://github.com/octocat/Hello-World",
            }),
        ),
        Case::new("list_repositories", json!({ "owner": "github", "is_organization": true, "page": 2 }))
            .on("GET /orgs/github/repos", Answer::ok(&json!([repository()])))
            .queries("sort=pushed&per_page=30&page=2")
            .expects(json!({ "items": [{ "full_name": "octocat/Hello-World" }] })),
        Case::new(
            "create_repository",
            json!({ "name": "Hello-World", "private": true, "organization": "github" }),
        )
        .on("POST /orgs/github/repos", Answer::json(201, &repository()))
        .sends(json!({ "name": "Hello-World", "private": true }))
        .expects(json!({ "full_name": "octocat/Hello-World" })),
        Case::in_repository("fork_repository", json!({ "default_branch_only": true }))
            .on("POST forks", Answer::json(202, &repository()))
            .sends(json!({ "default_branch_only": true }))
            .expects(json!({ "full_name": "octocat/Hello-World" })),
    ]
}

fn branches() -> Vec<Case> {
    vec![
        Case::in_repository("list_branches", json!({ "per_page": 500 }))
            .on("GET branches", Answer::ok(&json!([branch("master")])))
            .queries("per_page=100")
            .expects(json!({ "items": [{ "name": "master", "sha": SHA, "protected": true }] })),
        Case::in_repository("create_branch", json!({ "branch": "feature/a" }))
            .on("GET ", Answer::ok(&repository()))
            .on("GET git/ref/heads/master", Answer::ok(&reference(SHA)))
            .on("POST git/refs", Answer::json(201, &reference(SHA)))
            .sends(json!({ "ref": "refs/heads/feature/a", "sha": SHA }))
            .expects(json!({ "name": "feature/a", "sha": SHA })),
        Case::in_repository("list_commits", json!({ "path": "src/a b.rs", "sha": "main" }))
            .on("GET commits", Answer::ok(&json!([commit()])))
            .queries("sha=main&path=src%2Fa+b.rs&per_page=30")
            .expects(json!({ "items": [{
                "sha": SHA, "message": "Fix all the bugs", "author": "Monalisa Octocat", "author_login": "octocat",
                "parents": [TREE],
            }] })),
        Case::in_repository("get_commit", json!({ "sha": SHA }))
            .on(&format!("GET commits/{SHA}"), Answer::ok(&whole_commit()))
            .expects(json!({
                "additions": 104, "files": [{ "path": "file1.txt", "patch": "@@ -29,7 +29,7 @@\n-old\n+new" }],
            })),
    ]
}

fn files() -> Vec<Case> {
    let push = json!({
        "branch": "featureA", "message": "Add three",
        "files": [
            { "path": "a.txt", "text": "a", "executable": true }, { "path": "b.bin", "base64": "AAE=" },
            { "path": "c.txt", "delete": true },
        ],
    });
    vec![
        Case::in_repository("get_file", json!({ "path": "docs/README.md", "ref": "main", "from_line": 2 }))
            .on("GET contents/docs/README.md", Answer::ok(&contents()))
            .queries("ref=main")
            .expects(json!({
                "text": "World\n", "from_line": 2, "total_lines": 2, "is_cut": true, "size": 12,
                "sha": "3d21ec53a331a6f037a91c368710b99387d012c1",
            })),
        Case::in_repository("list_directory", json!({ "path": "/lib/" }))
            .on(
                "GET contents/lib",
                Answer::ok(&json!([entry("octokit.rb", "file"), entry("octokit", "dir")])),
            )
            .expects(json!({ "is_cut": false, "entries": [
                { "name": "octokit.rb", "kind": "file", "size": 625 }, { "name": "octokit", "kind": "dir" },
            ] })),
        Case::in_repository(
            "write_file",
            json!({ "path": "a.txt", "text": "Hellö", "message": "m", "branch": "b" }),
        )
        .on("PUT contents/a.txt", Answer::json(201, &changed()))
        .sends(json!({ "content": "SGVsbMO2", "message": "m", "branch": "b" }))
        .expects(json!({ "commit_sha": NEW_SHA, "file_sha": SHA, "branch": "b" })),
        Case::in_repository("delete_file", json!({ "path": "a.txt", "message": "m", "sha": SHA }))
            .on(
                "DELETE contents/a.txt",
                Answer::ok(&json!({ "content": null, "commit": git_commit(NEW_SHA) })),
            )
            .sends(json!({ "message": "m", "sha": SHA }))
            .expects(json!({ "commit_sha": NEW_SHA })),
        Case::in_repository("push_files", push)
            .on("GET git/ref/heads/featureA", Answer::ok(&reference(SHA)))
            .on(&format!("GET git/commits/{SHA}"), Answer::ok(&git_commit(SHA)))
            .on(
                "POST git/blobs",
                Answer::json(201, &json!({ "sha": "b10b", "url": "https://api.github.com/x" })),
            )
            .on(
                "POST git/trees",
                Answer::json(201, &json!({ "sha": "7ree", "tree": [], "truncated": false })),
            )
            .on("POST git/commits", Answer::json(201, &git_commit(NEW_SHA)))
            .on("PATCH git/refs/heads/featureA", Answer::ok(&reference(NEW_SHA)))
            .sends(json!({ "sha": NEW_SHA, "force": false }))
            .expects(json!({ "commit_sha": NEW_SHA, "branch": "featureA" })),
    ]
}
