//! `/api-keys`.

use axum::Json;
use axum::extract::State;
use http::{HeaderMap, HeaderName, StatusCode, header};
use roadstead_accounts::{Cursor, IpNet, KeyListing, KeyPatch, KeySettings, NewKey, PageRequest};
use roadstead_model::{ApiKeyId, Operation, ProjectId, Scope, UserId};

use crate::error::{ApiError, ErrorBody};
use crate::extract::fields::Fields;
use crate::extract::{Authenticated, JsonBody, OptionalBody, PathId, QueryFields, if_match};
use crate::idempotency::{Answer, of_key, once};
use crate::state::ApiState;
use crate::wire::{
    ApiKey, KeyBody, KeyDay, KeyPatchBody, KeyRequest, KeyUsage, NewApiKey, Page, RotateBody, cursor_field,
    flag_field, limit_field,
};

/// Longest reason for a revocation.
const MAX_REASON_CHARS: usize = 200;
/// Days that are shown when none are named.
const DEFAULT_DAYS: u32 = 31;
/// Days that can be asked for at one time.
const MAX_DAYS: u32 = 366;

/// A network, or an address as the network of itself.
struct Network(IpNet);

impl std::str::FromStr for Network {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let address = || text.parse::<std::net::IpAddr>().map(|address| IpNet::from(address.to_canonical()));
        let network: IpNet = text.parse().or_else(|_| address()).map_err(drop)?;
        // Bits beyond the mask are a slip: nobody can tell which of the two was meant.
        if network.trunc() == network { Ok(Self(network)) } else { Err(()) }
    }
}

fn networks(fields: &mut Fields) -> Option<Vec<IpNet>> {
    let noun = "network or address, such as 192.0.2.0/24 or 2001:db8::7";
    let found = fields.words::<Network>("allowed_ips", noun)?;
    Some(found.into_iter().map(|Network(network)| network).collect())
}

type Versioned<T> = ([(HeaderName, String); 1], Json<T>);

fn versioned(key: ApiKey) -> Versioned<ApiKey> {
    ([(header::ETAG, format!("\"{}\"", key.version))], Json(key))
}

/// List API keys
///
/// Names, hints, scopes and limits, oldest first; a key itself is shown once, when it is made. Owners and admins of an
/// organisation see the keys of its members.
#[utoipa::path(get, operation_id = "keys_list", path = "/api-keys", tag = "api-keys",
    params(("active" = Option<bool>, Query, description = "Only those that open something, or only those that do not"),
        ("totals" = Option<bool>, Query, description = "With what each was used altogether"),
        ("limit" = Option<u32>, Query), ("cursor" = Option<String>, Query)),
    responses((status = 200, body = Page<ApiKey>), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 422, body = ErrorBody)))]
pub(crate) async fn list(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    QueryFields(mut fields): QueryFields,
) -> Result<Json<Page<ApiKey>>, ApiError> {
    let permit = caller.key_permit(Operation::KeysList)?;
    let wanted = KeyListing {
        active: flag_field(&mut fields, "active"),
        totals: flag_field(&mut fields, "totals").unwrap_or(false),
        page: PageRequest { after: cursor_field(&mut fields), limit: limit_field(&mut fields) },
    };
    fields.finish()?;
    let page = state.accounts().keys(&permit, wanted).await?;
    Ok(Json(Page::of(page, ApiKey::with_totals)))
}

/// Create an API key
///
/// With at most the scopes of the key that makes it. The key is shown only here.
#[utoipa::path(post, operation_id = "keys_create", path = "/api-keys", tag = "api-keys",
    request_body = KeyBody,
    params(("Idempotency-Key" = Option<String>, Header)),
    responses((status = 201, body = NewApiKey), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
        (status = 403, description = "More scopes than one's own", body = ErrorBody),
        (status = 404, description = "No such user or project", body = ErrorBody), (status = 413, body = ErrorBody),
        (status = 415, body = ErrorBody), (status = 422, body = ErrorBody)))]
pub(crate) async fn create(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    headers: HeaderMap,
    JsonBody { mut fields, bytes }: JsonBody,
) -> Result<Answer, ApiError> {
    let permit = caller.key_permit(Operation::KeysCreate)?;
    let new = NewKey {
        name: fields.required_text("name", roadstead_model::limits::MAX_NAME_CHARS),
        scopes: match fields.words::<Scope>("scopes", "scope") {
            Some(scopes) if !scopes.is_empty() => scopes.into_iter().collect(),
            _ => {
                fields.problem("scopes", "must name at least one scope, such as instances:launch");
                roadstead_model::Scopes::default()
            }
        },
        settings: KeySettings {
            allowed_ips: networks(&mut fields).unwrap_or_default(),
            requests_per_minute: fields.number("requests_per_minute"),
            daily_limit: fields.number("daily_limit"),
            monthly_limit: fields.number("monthly_limit"),
        },
        expires_in: fields.duration("expires_in"),
        user: fields.parsed::<UserId>("user_id", "a user's id"),
        project: fields.parsed::<ProjectId>("project_id", "a project's id"),
    };
    fields.finish()?;
    let work = {
        let state = state.clone();
        async move {
            let (row, key) = state.accounts().create_key(&permit, new).await?;
            Ok(Answer::json(StatusCode::CREATED, &NewApiKey::new(row, &key)))
        }
    };
    once(&state, &caller, &headers, "POST /api-keys", &bytes, work).await
}

/// Get an API key
#[utoipa::path(get, operation_id = "keys_get", path = "/api-keys/{id}", tag = "api-keys",
    params(("id" = String, Path)),
    responses((status = 200, body = ApiKey), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody)))]
pub(crate) async fn get(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    PathId(id): PathId<ApiKeyId>,
) -> Result<Versioned<ApiKey>, ApiError> {
    let permit = caller.key_permit(Operation::KeysGet)?;
    Ok(versioned(ApiKey::new(state.accounts().key(&permit, id).await?)))
}

/// Change an API key
///
/// Its name, from where and how often it may be used, and its end; never its scopes. What is absent stays, and null takes a
/// limit or the end away. In force with the next request.
#[utoipa::path(patch, operation_id = "keys_patch", path = "/api-keys/{id}", tag = "api-keys",
    request_body = KeyPatchBody,
    params(("id" = String, Path), ("If-Match" = Option<String>, Header, description = "The ETag that was read")),
    responses((status = 200, body = ApiKey), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody), (status = 404, body = ErrorBody), (status = 412, body = ErrorBody),
        (status = 413, body = ErrorBody), (status = 415, body = ErrorBody), (status = 422, body = ErrorBody)))]
pub(crate) async fn patch(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    PathId(id): PathId<ApiKeyId>,
    headers: HeaderMap,
    JsonBody { mut fields, .. }: JsonBody,
) -> Result<Versioned<ApiKey>, ApiError> {
    let permit = caller.key_permit(Operation::KeysPatch)?;
    let expected = if_match(&headers)?;
    let patch = KeyPatch {
        name: fields.name("name"),
        allowed_ips: fields.unless_null("allowed_ips", networks).map(Option::unwrap_or_default),
        requests_per_minute: fields
            .unless_null("requests_per_minute", |fields| fields.number("requests_per_minute")),
        daily_limit: fields.unless_null("daily_limit", |fields| fields.number("daily_limit")),
        monthly_limit: fields.unless_null("monthly_limit", |fields| fields.number("monthly_limit")),
        expires_in: fields.unless_null("expires_in", |fields| fields.duration("expires_in")),
    };
    fields.finish()?;
    Ok(versioned(ApiKey::new(state.accounts().patch_key(&permit, id, expected, patch).await?)))
}

/// Replace an API key
///
/// By a new one with the same name, scopes, limits and end, which is shown only here. The old one ends at once, or works on
/// for as long as `grace` says.
#[utoipa::path(post, operation_id = "keys_rotate", path = "/api-keys/{id}/rotate", tag = "api-keys",
    request_body = RotateBody,
    params(("id" = String, Path),
        ("Idempotency-Key" = Option<String>, Header, description = "Repeated within 24 h: the first answer")),
    responses((status = 201, body = NewApiKey), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
        (status = 403, description = "More scopes than one's own", body = ErrorBody), (status = 404, body = ErrorBody),
        (status = 412, description = "Somebody else changed it meanwhile", body = ErrorBody),
        (status = 413, body = ErrorBody), (status = 415, body = ErrorBody), (status = 422, body = ErrorBody)))]
pub(crate) async fn rotate(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    PathId(id): PathId<ApiKeyId>,
    headers: HeaderMap,
    OptionalBody(JsonBody { mut fields, bytes }): OptionalBody,
) -> Result<Answer, ApiError> {
    let permit = caller.key_permit(Operation::KeysRotate)?;
    let grace = fields.duration("grace");
    fields.finish()?;
    let work = {
        let state = state.clone();
        async move {
            let (row, key) = state.accounts().rotate_key(&permit, id, grace).await?;
            Ok(Answer::json(StatusCode::CREATED, &NewApiKey::new(row, &key)))
        }
    };
    let request = of_key(id, &bytes);
    once(&state, &caller, &headers, "POST /api-keys/{id}/rotate", &request, work).await
}

/// Revoke an API key
///
/// At once; who did it and the `reason` are kept.
#[utoipa::path(delete, operation_id = "keys_revoke", path = "/api-keys/{id}", tag = "api-keys",
    params(("id" = String, Path), ("reason" = Option<String>, Query, max_length = 200, description = "Kept with the key")),
    responses((status = 204, description = "Revoked"), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody), (status = 422, body = ErrorBody)))]
pub(crate) async fn revoke(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    PathId(id): PathId<ApiKeyId>,
    QueryFields(mut fields): QueryFields,
) -> Result<StatusCode, ApiError> {
    let permit = caller.key_permit(Operation::KeysRevoke)?;
    let reason = fields.text("reason", MAX_REASON_CHARS);
    fields.finish()?;
    state.accounts().revoke_key(&permit, id, reason.as_deref()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What an API key was used for
///
/// A line for each day, or with `detail=true` pages of its requests. Written down every two seconds.
#[utoipa::path(get, operation_id = "keys_usage", path = "/api-keys/{id}/usage", tag = "api-keys",
    params(("id" = String, Path), ("days" = Option<u32>, Query, minimum = 1, maximum = 366, description = "So many days up to today, 31 without it"),
        ("detail" = Option<bool>, Query, description = "Requests instead of days"),
        ("limit" = Option<u32>, Query), ("cursor" = Option<String>, Query)),
    responses((status = 200, body = KeyUsage), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody), (status = 422, body = ErrorBody)))]
pub(crate) async fn usage(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    PathId(id): PathId<ApiKeyId>,
    QueryFields(mut fields): QueryFields,
) -> Result<Json<KeyUsage>, ApiError> {
    let permit = caller.key_permit(Operation::KeysUsage)?;
    let days = fields.parsed::<u32>("days", "a whole number from 1 to 366").unwrap_or(DEFAULT_DAYS);
    if !(1..=MAX_DAYS).contains(&days) {
        fields.problem("days", format!("must be from 1 to {MAX_DAYS}"));
    }
    let detail = flag_field(&mut fields, "detail").unwrap_or(false);
    let (after, limit) = (cursor_field::<Cursor>(&mut fields), limit_field(&mut fields));
    fields.finish()?;
    if detail {
        let found = state.accounts().key_requests(&permit, id, after, limit).await?;
        let page = Page::of(found, KeyRequest::new);
        return Ok(Json(KeyUsage { days: Vec::new(), requests: page.data, next_cursor: page.next_cursor }));
    }
    let days = state.accounts().key_days(&permit, id, days).await?;
    Ok(Json(KeyUsage { days: days.iter().map(KeyDay::new).collect(), ..KeyUsage::default() }))
}
