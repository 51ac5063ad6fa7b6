//! `/healthz`: the process lives. `/readyz`: it can do its work.

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use serde::Serialize;

use crate::state::ApiState;

/// The process lives.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct Health {
    /// Always `ok`.
    status: &'static str,
}

/// What the process needs for its work.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct Readiness {
    /// `ready` or `not_ready`.
    status: &'static str,
    /// Each part: `ok`, or what is wrong.
    checks: Checks,
}

/// The parts.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct Checks {
    /// PostgreSQL answers.
    database: String,
    /// A port is free.
    pool: String,
    /// Launches are taken.
    supervisor: String,
}

/// Is the process alive?
#[utoipa::path(get, operation_id = "healthz", path = "/healthz", tag = "health",
    security(()), responses((status = 200, body = Health)))]
pub(crate) async fn healthz() -> Json<Health> {
    Json(Health { status: "ok" })
}

/// Can it do its work?
#[utoipa::path(get, operation_id = "readyz", path = "/readyz", tag = "health",
    security(()),
    responses((status = 200, body = Readiness), (status = 503, body = Readiness)))]
pub(crate) async fn readyz(State(state): State<ApiState>) -> (StatusCode, Json<Readiness>) {
    let readiness = state.orchestrator().readiness().await;
    let word = |ok: bool, trouble: &str| if ok { "ok".to_owned() } else { trouble.to_owned() };
    let checks = Checks {
        database: word(readiness.database, "does not answer"),
        pool: word(readiness.ports_free > 0, "every port is taken or resting"),
        supervisor: word(readiness.accepting, "is stopping"),
    };
    // A full pool is no reason to take the service away from those who use it.
    let ready = readiness.database && readiness.accepting;
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(Readiness { status: if ready { "ready" } else { "not_ready" }, checks }))
}
