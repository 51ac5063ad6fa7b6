//! `POST /types/import`, `POST /types/{id}/upgrade`: types whose programs are installed from packages.

use std::collections::BTreeMap;
use std::convert::Infallible;

use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::{Stream, stream};
use http::{HeaderMap, StatusCode, header};
use roadstead_access::AdminPermit;
use roadstead_model::{Operation, ProjectId};
use roadstead_orchestrator::{Additions, Document, ImportRequest, Progress, UpgradeRequest};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::error::{ApiError, Code, ErrorBody};
use crate::extract::fields::Fields;
use crate::extract::{Authenticated, JsonBody, PathName, if_match};
use crate::idempotency::{Answer, once};
use crate::state::ApiState;
use crate::wire::{ImportBody, ImportedType, ServerType, UpgradeBody};

/// The longest name of a package with its version.
const MAX_SOURCE_CHARS: usize = 400;
/// The longest argument.
const MAX_ARG_CHARS: usize = 4096;
/// The longest address of a server.
const MAX_URL_CHARS: usize = 2048;
/// The longest name of a program or of a server in a document.
const MAX_NAME_CHARS: usize = 200;
/// Steps that wait for a slow listener; more are left out, since the next one says more.
const STEPS_WAITING: usize = 256;

/// Import a server type
///
/// Platform admins only. Makes a type of a package (`npm:NAME@1.2.3`, `pypi:NAME`, `cargo:NAME`), of a `server.json` of the
/// official registry, or of a client's `mcpServers`; the package is installed once, confined, without its own scripts unless
/// `scripts` says so, and launches execute its program directly. What has to be looked at first is refused with
/// `APPROVAL_NEEDED` until `approve` is true. With `dry_run`, nothing is installed and no type is made. With
/// `Accept: text/event-stream` the answer tells the progress: events `progress`, then `imported` or `error`.
#[utoipa::path(post, operation_id = "types_import", path = "/types/import", tag = "types",
    request_body = ImportBody, params(("Idempotency-Key" = Option<String>, Header)),
    responses((status = 200, description = "Only looked at (`dry_run`), or a stream of events", body = ImportedType),
        (status = 201, body = ImportedType), (status = 400, body = ErrorBody),
        (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 409, description = "A type of the name exists, or something needs an administrator's yes", body = ErrorBody),
        (status = 413, body = ErrorBody), (status = 415, body = ErrorBody),
        (status = 422, description = "Every wrong field is named, or the package was refused", body = ErrorBody),
        (status = 502, description = "The package could not be installed", body = ErrorBody)))]
pub(crate) async fn import(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    headers: HeaderMap,
    JsonBody { fields, bytes }: JsonBody,
) -> Result<Response, ApiError> {
    let permit = caller.admin_permit(Operation::TypesImport)?;
    let request = read(fields)?;
    if wants_events(&headers) {
        return Ok(events(
            &state,
            move |state, hear| async move { done(&state, &permit, request, hear).await },
        ));
    }
    let work = {
        let state = state.clone();
        async move {
            let (status, imported) = done(&state, &permit, request, |_| {}).await?;
            Ok(Answer::json(status, &imported))
        }
    };
    Ok(once(&state, &caller, &headers, "POST /types/import", &bytes, work).await?.into_response())
}

/// Change the version of a type's package
///
/// Platform admins only: forward, or back to one that is still installed, which takes no time. Running instances keep what
/// they were launched with. With `Accept: text/event-stream` the answer tells the progress.
#[utoipa::path(post, operation_id = "types_upgrade", path = "/types/{id}/upgrade", tag = "types",
    request_body = UpgradeBody,
    params(("id" = String, Path, pattern = "^[A-Za-z0-9-]{1,50}$", description = "Its id or its name"), ("If-Match" = Option<String>, Header)),
    responses((status = 200, body = ServerType), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody), (status = 404, body = ErrorBody), (status = 412, body = ErrorBody),
        (status = 413, body = ErrorBody), (status = 415, body = ErrorBody), (status = 422, body = ErrorBody),
        (status = 502, description = "The package could not be installed", body = ErrorBody)))]
pub(crate) async fn upgrade(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    PathName(named): PathName,
    headers: HeaderMap,
    JsonBody { mut fields, .. }: JsonBody,
) -> Result<Response, ApiError> {
    let permit = caller.admin_permit(Operation::TypesUpgrade)?;
    let expected = if_match(&headers)?;
    let version = fields.text("version", MAX_NAME_CHARS);
    fields.finish()?;
    let request = UpgradeRequest { named, expected, version };
    let work = move |state: ApiState, hear: Hear| async move {
        let row = state.orchestrator().upgrade_type(&permit, request, hear).await?;
        Ok((StatusCode::OK, ServerType::new(row)))
    };
    if wants_events(&headers) {
        return Ok(events(&state, work));
    }
    let (status, row) = state.detached(work(state.clone(), Box::new(|_| {}))).await?;
    Ok(Answer::json(status, &row).into_response())
}

/// Takes each step of an installation.
type Hear = Box<dyn FnMut(Progress) + Send>;

async fn done(
    state: &ApiState,
    permit: &AdminPermit,
    request: ImportRequest,
    hear: impl FnMut(Progress) + Send,
) -> Result<(StatusCode, ImportedType), ApiError> {
    let imported = state.orchestrator().import_type(permit, request, hear).await?;
    let status = if imported.row.is_some() { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, ImportedType::new(imported)))
}

fn read(mut fields: Fields) -> Result<ImportRequest, ApiError> {
    let source = fields.text("source", MAX_SOURCE_CHARS);
    let document = fields.object("document");
    let project: Option<ProjectId> = fields.parsed("project_id", "a project's id");
    let additions = additions(&mut fields);
    let document = match (source, document) {
        (Some(source), None) => Some(Document::Reference(source)),
        (None, Some(document)) => Some(Document::Json(Value::Object(document))),
        _ => {
            fields.problem("source", "give either source, like npm:NAME@1.2.3, or document");
            None
        }
    };
    let request = (
        fields.text("server", MAX_NAME_CHARS),
        fields.text("name", 50),
        fields.text("display_name", 100),
        fields.text("entry", MAX_NAME_CHARS),
        fields.flag("scripts").unwrap_or_default(),
        fields.flag("approve").unwrap_or_default(),
        fields.flag("dry_run").unwrap_or_default(),
    );
    fields.finish()?;
    let (server, name, display_name, entry, scripts, approve, dry_run) = request;
    let document = document.unwrap_or_else(|| Document::Reference(String::new()));
    Ok(ImportRequest {
        document,
        server,
        name,
        display_name,
        project,
        entry,
        additions,
        scripts,
        approve,
        dry_run,
    })
}

/// What the administrator says beyond the document. Whether it makes a type is for the type's own rules.
fn additions(fields: &mut Fields) -> Additions {
    let args = fields.words::<String>("args", "an argument").unwrap_or_default();
    if args.iter().any(|arg| arg.chars().count() > MAX_ARG_CHARS) {
        fields.problem("args", format!("each has at most {MAX_ARG_CHARS} characters"));
    }
    let mut env = BTreeMap::new();
    for (name, value) in fields.object("env").unwrap_or_default() {
        match value {
            Value::String(value) if value.chars().count() <= MAX_ARG_CHARS => {
                env.insert(name, value);
            }
            _ => fields.problem("env", format!("must hold strings of at most {MAX_ARG_CHARS} characters")),
        }
    }
    Additions {
        args,
        env,
        secrets: fields.words("secrets", "variable").unwrap_or_default(),
        secret_files: fields.words("secret_files", "variable").unwrap_or_default(),
        url: fields.text("url", MAX_URL_CHARS),
        transport: fields.parsed("transport", "one of stdio, streamable_http, sse"),
        allow_any_interface: fields.flag("allow_any_interface").unwrap_or_default(),
    }
}

fn wants_events(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let kinds: Vec<&str> = accepted.flat_map(|value| value.split(',')).map(str::trim).collect();
    let takes = |kind: &str| kinds.iter().any(|one| one.starts_with(kind));
    // Whoever takes a plain answer as well gets that.
    takes("text/event-stream") && !takes("application/json")
}

/// Does the work, whoever listens, and tells of it as it goes on.
fn events<W, F, T>(state: &ApiState, work: W) -> Response
where
    W: FnOnce(ApiState, Hear) -> F,
    F: Future<Output = Result<(StatusCode, T), ApiError>> + Send + 'static,
    T: serde::Serialize + Send + 'static,
{
    let (tell, told) = mpsc::channel::<Event>(STEPS_WAITING);
    let steps = tell.clone();
    let hear: Hear = Box::new(move |progress: Progress| {
        let event = Event::default().event("progress");
        if let Ok(event) = event.json_data(json!({ "step": progress.step, "message": progress.message })) {
            // A listener who is slow hears of the next one.
            let _ = steps.try_send(event);
        }
    });
    let work = work(state.clone(), hear);
    let detached = state.clone();
    state.go_on(async move {
        let outcome = detached.detached(work).await;
        let event = match outcome {
            Ok((_, done)) => Event::default().event("imported").json_data(done),
            Err(error) => Event::default().event("error").json_data(told_of(&error)),
        };
        if let Ok(event) = event {
            // Nobody listens any more: the work is done all the same.
            let _ = tell.send(event).await;
        }
    });
    let stream = Sse::new(into_stream(told)).keep_alive(KeepAlive::default());
    ([("x-accel-buffering", "no")], stream).into_response()
}

fn told_of(error: &ApiError) -> Value {
    let details: Vec<_> =
        error.details.iter().map(|it| json!({"field": it.field, "message": it.message})).collect();
    let status = error.code.status().as_u16();
    json!({ "code": error.code.as_str(), "status": status, "message": error.message, "details": details })
}

fn into_stream(told: mpsc::Receiver<Event>) -> impl Stream<Item = Result<Event, Infallible>> {
    stream::unfold(told, |mut told| async move { Some((Ok(told.recv().await?), told)) })
}

impl From<roadstead_orchestrator::ImportError> for ApiError {
    fn from(error: roadstead_orchestrator::ImportError) -> Self {
        use roadstead_orchestrator::ImportError as E;
        match error {
            E::Invalid(problems) => Self::validation(
                problems
                    .into_iter()
                    .map(|(field, message)| crate::error::Detail { field, message })
                    .collect(),
            ),
            E::NeedsApproval(ref what) => {
                let mut this = Self::new(Code::ApprovalNeeded, error.to_string());
                let detail = |what: &String| crate::error::Detail {
                    field: "approve".to_owned(),
                    message: what.clone(),
                };
                this.details.extend(what.iter().map(detail));
                this
            }
            E::ShuttingDown => Self::new(Code::ShuttingDown, error.to_string()),
            E::Accounts(error) => error.into(),
            E::Package(error) => of_package(&error),
        }
    }
}

fn of_package(error: &roadstead_orchestrator::InstallError) -> ApiError {
    use roadstead_orchestrator::InstallError as E;
    match error {
        E::Refused { code, message } => {
            let known = match code.as_str() {
                "not_found" => Code::PackageNotFound,
                "refused" | "too_large" | "no_executable" => Code::PackageRefused,
                _ => Code::PackageFailed,
            };
            ApiError::new(known, message.clone())
        }
        E::Installer(roadstead_orchestrator::ErrandError::Slow { .. }) => {
            ApiError::new(Code::PackageFailed, "the package was not installed within its time")
        }
        E::Leaving => ApiError::new(Code::PackageFailed, error.to_string()),
        E::Installer(_) | E::Silent | E::Version(_) | E::Store { .. } => {
            tracing::error!(error = error as &dyn std::error::Error, "a package could not be installed");
            ApiError::new(Code::PackageFailed, error.to_string())
        }
    }
}
