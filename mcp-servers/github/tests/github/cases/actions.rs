//! Workflows, runs, jobs and logs.

use serde_json::json;

use super::Case;
use crate::fake::Answer;
use crate::fixtures::{job, run, workflow};

pub fn cases() -> Vec<Case> {
    vec![
        Case::in_repository("list_workflows", json!({}))
            .on("GET actions/workflows", Answer::ok(&json!({ "total_count": 1, "workflows": [workflow()] })))
            .expects(json!({ "total_count": 1, "items": [{ "id": 161_335, "name": "CI" }] })),
        Case::in_repository(
            "list_workflow_runs",
            json!({ "workflow": "ci.yml", "branch": "main", "status": "failure" }),
        )
        .on(
            "GET actions/workflows/ci.yml/runs",
            Answer::ok(&json!({ "total_count": 1, "workflow_runs": [run()] })),
        )
        .queries("branch=main&status=failure&per_page=30")
        .expects(json!({ "items": [{ "id": 30_433_642, "number": 562, "actor": "octocat" }] })),
        Case::in_repository("get_workflow_run", json!({ "run_id": 30_433_642 }))
            .on("GET actions/runs/30433642", Answer::ok(&run()))
            .expects(json!({ "id": 30_433_642, "status": "queued" })),
        Case::in_repository("list_workflow_jobs", json!({ "run_id": 29_679_449, "filter": "latest" }))
            .on("GET actions/runs/29679449/jobs", Answer::ok(&json!({ "total_count": 1, "jobs": [job()] })))
            .queries("filter=latest&per_page=30")
            .expects(json!({ "items": [{ "id": 399_444_496, "steps": [{ "name": "Set up job" }] }] })),
        Case::in_repository("get_job_log", json!({ "job_id": 399_444_496, "lines": 2 }))
            .on(
                "GET actions/jobs/399444496/logs",
                Answer::empty(302).with("location", "{elsewhere}/signed/log?sig=once"),
            )
            .on("GET /signed/log", Answer::text(200, "one\ntwo\nthree\n"))
            .expects(json!({ "text": "two\nthree", "lines": 2, "is_cut": true, "total_bytes": 14 })),
        Case::in_repository("rerun_workflow_run", json!({ "run_id": 7, "failed_only": true }))
            .on("POST actions/runs/7/rerun-failed-jobs", Answer::json(201, &json!({})))
            .expects(json!({ "done": "Run 7 runs again." })),
        Case::in_repository("cancel_workflow_run", json!({ "run_id": 7 }))
            .on("POST actions/runs/7/cancel", Answer::json(202, &json!({})))
            .expects(json!({ "done": "Run 7 is being cancelled." })),
        Case::in_repository(
            "dispatch_workflow",
            json!({ "workflow": "ci.yml", "ref": "main", "inputs": { "a": "b" } }),
        )
        .on("POST actions/workflows/ci.yml/dispatches", Answer::empty(204))
        .sends(json!({ "ref": "main", "inputs": { "a": "b" } }))
        .expects(json!({ "done": "ci.yml will run on main." })),
    ]
}
