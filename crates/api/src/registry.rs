//! `/v0.1/servers`: the types that may be launched, as the API of the official MCP registry tells of servers (its revision of
//! 2025-12-01, read only), so that clients with a gallery can show them.
//!
//! ```text
//! type ─► server.json: a remote whose address has a variable for the instance, and a header with one for its token
//! ```

use axum::Json;
use axum::extract::{FromRequestParts, Path, State};
use http::header;
use http::request::Parts;
use roadstead_accounts::TypeRow;
use roadstead_model::{Operation, TypeStatus};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::error::{ApiError, Code, ErrorBody};
use crate::extract::{Authenticated, QueryFields};
use crate::state::ApiState;
use crate::wire::{RegistryList, RegistryServer, registry_name};

/// Types that are read for one answer: whoever has more has them found by their names.
const MAX_TYPES: usize = 10_000;
/// Types of one page of the table.
const PAGE: u32 = 100;
/// Entries of one page that is asked for without a limit, as the official registry has it.
const DEFAULT_LIMIT: usize = 30;
/// The most that one page holds.
const MAX_LIMIT: usize = 100;
/// Longest text that is searched for, and longest cursor.
const MAX_TEXT: usize = 200;

/// Somebody with a key, or anybody where the platform lets them look.
pub(crate) enum Reader {
    Known(Box<Authenticated>),
    Anybody,
}

impl FromRequestParts<ApiState> for Reader {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &ApiState) -> Result<Self, ApiError> {
        let has_key = parts.headers.contains_key(header::AUTHORIZATION);
        if !has_key && state.orchestrator().settings().public_registry {
            return Ok(Self::Anybody);
        }
        Ok(Self::Known(Box::new(Authenticated::from_request_parts(parts, state).await?)))
    }
}

/// The servers of the registry
///
/// The approved types, by name, in the form of the official MCP registry, for clients with a gallery. With the setting
/// `catalog.public_registry`, those that are for everybody are shown without a key, too.
#[utoipa::path(get, operation_id = "registry_list", path = "/v0.1/servers", tag = "registry",
    params(("search" = Option<String>, Query, pattern = "^[^\\x00]{1,200}$", description = "Part of the name"),
        ("version" = Option<String>, Query, pattern = "^[^\\x00]{1,200}$", description = "`latest`, which all are, or exactly this one"),
        ("updated_since" = Option<String>, Query, format = DateTime, description = "Changed at this time or later, RFC 3339"),
        ("include_deleted" = Option<bool>, Query, description = "Taken, and without effect: what is deprecated is not told"),
        ("limit" = Option<u32>, Query, description = "How many entries one page may hold, from 1 to 100: 30 unless it says so"),
        ("cursor" = Option<String>, Query, pattern = "^[^\\x00]{1,200}$", description = "`nextCursor` of the page before")),
    responses((status = 200, body = RegistryList), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 422, body = ErrorBody)))]
pub(crate) async fn list(
    State(state): State<ApiState>,
    reader: Reader,
    QueryFields(mut fields): QueryFields,
) -> Result<Json<RegistryList>, ApiError> {
    let search = fields.text("search", MAX_TEXT).unwrap_or_default().to_lowercase();
    let version = fields.text("version", MAX_TEXT).filter(|version| version != "latest");
    let since = fields.text("updated_since", MAX_TEXT).and_then(|text| {
        let parsed = OffsetDateTime::parse(&text, &Rfc3339).ok();
        if parsed.is_none() {
            fields.problem("updated_since", "must be a time such as 2026-01-31T12:00:00Z");
        }
        parsed
    });
    fields.parsed::<bool>("include_deleted", "true or false");
    let limit = fields.parsed::<usize>("limit", "a whole number from 1 to 100").unwrap_or(DEFAULT_LIMIT);
    if !(1..=MAX_LIMIT).contains(&limit) {
        fields.problem("limit", format!("must be from 1 to {MAX_LIMIT}"));
    }
    let after = fields.text("cursor", MAX_TEXT).unwrap_or_default();
    fields.finish()?;
    let rows = readable(&state, reader, Operation::RegistryList).await?;
    let base = state.view().public_base.to_owned();
    let fits = |row: &TypeRow| {
        row.name > after
            && since.is_none_or(|since| row.updated_at >= since)
            && registry_name(&base, &row.name).contains(&search)
    };
    // Of types of one name, in several projects, a gallery can show one.
    let mut last = None;
    let rows = rows.into_iter().filter(|row| last.replace(row.name.clone()).as_deref() != Some(&row.name));
    let found = rows.filter(fits).map(|row| (row.name.clone(), RegistryServer::new(&base, &row)));
    let found =
        found.filter(|(_, server)| version.as_ref().is_none_or(|version| server.has_version(version)));
    // One more than a page says that there is another.
    let mut found: Vec<_> = found.take(limit + 1).collect();
    let next = (found.len() > limit).then(|| found[limit - 1].0.clone());
    found.truncate(limit);
    Ok(Json(RegistryList::new(found.into_iter().map(|(_, server)| server).collect(), next)))
}

/// The versions of a server
///
/// The one that is launched: types have no others that could be.
#[utoipa::path(get, operation_id = "registry_versions", path = "/v0.1/servers/{name}/versions", tag = "registry",
    params(("name" = String, Path, pattern = "^[A-Za-z0-9./_-]{1,200}$", description = "Its name in the registry, URL-encoded")),
    responses((status = 200, body = RegistryList), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody)))]
pub(crate) async fn versions(
    State(state): State<ApiState>,
    reader: Reader,
    Path(name): Path<String>,
) -> Result<Json<RegistryList>, ApiError> {
    let found = named(&state, reader, Operation::RegistryVersions, &name).await?;
    Ok(Json(RegistryList::new(vec![found], None)))
}

/// One version of a server
#[utoipa::path(get, operation_id = "registry_get", path = "/v0.1/servers/{name}/versions/{version}", tag = "registry",
    params(("name" = String, Path, pattern = "^[A-Za-z0-9./_-]{1,200}$", description = "Its name in the registry, URL-encoded"),
        ("version" = String, Path, pattern = "^[A-Za-z0-9.+_-]{1,200}$", description = "The version, or `latest`")),
    responses((status = 200, body = RegistryServer), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody)))]
pub(crate) async fn get(
    State(state): State<ApiState>,
    reader: Reader,
    Path((name, version)): Path<(String, String)>,
) -> Result<Json<RegistryServer>, ApiError> {
    let found = named(&state, reader, Operation::RegistryGet, &name).await?;
    if version == "latest" || found.has_version(&version) {
        return Ok(Json(found));
    }
    Err(ApiError::new(Code::NotFound, format!("{name} is not of this version; `latest` is the one there is")))
}

async fn named(
    state: &ApiState,
    reader: Reader,
    operation: Operation,
    name: &str,
) -> Result<RegistryServer, ApiError> {
    let base = state.view().public_base.to_owned();
    let rows = readable(state, reader, operation).await?;
    let found = rows.iter().find(|row| registry_name(&base, &row.name) == name);
    found.map(|row| RegistryServer::new(&base, row)).ok_or_else(|| {
        ApiError::new(Code::NotFound, "there is no such server; /v0.1/servers lists those there are")
    })
}

/// The approved types that somebody may see, by name.
async fn readable(state: &ApiState, reader: Reader, operation: Operation) -> Result<Vec<TypeRow>, ApiError> {
    let permit = match reader {
        Reader::Known(known) => Some(known.0.type_permit(operation)?),
        Reader::Anybody => None,
    };
    let mut rows: Vec<TypeRow> = Vec::new();
    let mut after = None;
    loop {
        let accounts = state.accounts();
        let page = match &permit {
            Some(permit) => accounts.types(permit, Some(TypeStatus::Approved), after.as_ref(), PAGE).await?,
            None => accounts.types_for_anybody(after.as_ref(), PAGE).await?,
        };
        rows.extend(page.items);
        match page.next {
            Some(next) if rows.len() < MAX_TYPES => after = Some(next),
            _ => return Ok(rows),
        }
    }
}
