//! Answers: the words of each status, the errors that any such request can meet, their codes, and headers.

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::{Facts, fill};
use crate::error::Code;

/// Adds what answers share: headers, and the errors without particulars.
pub(super) fn add_shared(document: &mut Value) {
    let components = &mut document["components"];
    components["headers"] = headers();
    let mut statuses: Vec<u16> = Code::ALL.iter().map(|code| code.status().as_u16()).collect();
    statuses.sort_unstable();
    statuses.dedup();
    let named = statuses.into_iter().map(|status| (shared_name(status), shared_error(status)));
    components["responses"] = Value::Object(named.collect());
}

fn headers() -> Value {
    let whole = json!({"type": "integer", "minimum": 0});
    json!({
        "X-Request-ID": {"description": "The request's id: the one that was sent, or a new one. It is in the log, too.",
            "schema": {"type": "string"}},
        "X-RateLimit-Limit": {"description": "Requests that the tightest limit allows at once, where one holds.", "schema": whole},
        "X-RateLimit-Remaining": {"description": "How many of them are left.", "schema": whole},
        "X-RateLimit-Reset": {"description": "Seconds until all of them are there again.", "schema": whole},
        "Retry-After": {"description": "Seconds after which to ask again, where that can help.", "schema": whole},
        "ETag": {"description": "The version of what was read, to be sent back as `If-Match`.", "schema": {"type": "string"}},
        "WWW-Authenticate": {"description": "How to say who asks: `Bearer`.", "schema": {"type": "string"}},
    })
}

/// Completes the answers of one operation.
pub(super) fn complete(facts: &Facts, operation: &mut Value) {
    if !operation["responses"].is_object() {
        operation["responses"] = json!({});
    }
    let Some(responses) = operation["responses"].as_object_mut() else { return };
    for status in expected(facts) {
        responses.entry(status.to_string()).or_insert_with(|| json!({}));
    }
    for (status, response) in responses {
        let Ok(status) = status.parse::<u16>() else { continue };
        complete_one(facts, status, response);
    }
}

/// The statuses of errors that any request of its kind can be answered with.
fn expected(facts: &Facts) -> Vec<u16> {
    let kinds: [(bool, &[u16]); 6] = [
        // Even in front of a public path stands the guard against other people's pages.
        (true, &[403, 500]),
        (!facts.is_public, &[401, 429, 503]),
        (facts.has_body, &[400, 413, 415, 422]),
        (facts.has_query, &[400, 422]),
        (facts.is_repeatable, &[400, 409, 422]),
        (facts.is_conditional, &[400, 412]),
    ];
    let known = kinds.iter().filter(|(holds, _)| *holds).flat_map(|(_, statuses)| statuses.iter().copied());
    known.chain(facts.names_something.then_some(404)).collect()
}

fn complete_one(facts: &Facts, status: u16, response: &mut Value) {
    if response.get("$ref").is_some() {
        return;
    }
    let is_error = status >= 400 && is_error_body(response);
    let mut codes = codes(status, |code| applies(code, facts));
    // What is particular to the operation comes first, and into its example.
    codes.sort_by_key(|code| kin(*code) == Kin::All);
    if is_error && response.get("description").is_none() && codes == codes_of_all(status) {
        *response = json!({"$ref": format!("#/components/responses/{}", shared_name(status))});
        return;
    }
    let Some(fields) = response.as_object_mut() else { return };
    fill(fields, &json!({"description": words_of(status), "headers": {}}));
    if is_error {
        fill(fields, &error_content(&codes));
    }
    if let Some(headers) = fields.get_mut("headers").and_then(Value::as_object_mut) {
        add_headers(headers, facts, status);
    }
}

/// Whether an answer is one of our errors: it has their body, or none that was told.
fn is_error_body(response: &Value) -> bool {
    let content = &response["content"];
    content.is_null() || content["application/json"]["schema"]["$ref"] == "#/components/schemas/ErrorBody"
}

fn add_headers(headers: &mut Map<String, Value>, facts: &Facts, status: u16) {
    let has_version = facts.has_versions && status < 300;
    let may_be_repeated = matches!(status, 409 | 429 | 503);
    let rates = ["X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"];
    let names = ["X-Request-ID"].into_iter().chain(rates.into_iter().filter(|_| !facts.is_public));
    let names = names.chain(has_version.then_some("ETag")).chain(may_be_repeated.then_some("Retry-After"));
    for name in names {
        headers.entry(name).or_insert_with(|| json!({"$ref": format!("#/components/headers/{name}")}));
    }
}

fn error_content(codes: &[Code]) -> Value {
    let words: Vec<&str> = codes.iter().map(|code| code.as_str()).collect();
    json!({
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/ErrorBody"}}},
        "x-error-codes": words,
    })
}

/// The name of the answer that all operations share for a status.
fn shared_name(status: u16) -> String {
    let words =
        StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason()).unwrap_or("Error");
    words.split(' ').collect()
}

fn shared_error(status: u16) -> Value {
    let mut response = json!({"description": words_of(status), "headers": {}});
    let fields = response.as_object_mut().expect("an object was just made");
    fill(fields, &error_content(&codes_of_all(status)));
    let mut names = vec!["X-Request-ID", "X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"];
    names.extend(matches!(status, 409 | 429 | 503).then_some("Retry-After"));
    names.extend((status == 401).then_some("WWW-Authenticate"));
    for name in names {
        response["headers"][name] = json!({"$ref": format!("#/components/headers/{name}")});
    }
    response
}

fn codes(status: u16, wanted: impl Fn(Code) -> bool) -> Vec<Code> {
    Code::ALL.iter().copied().filter(|code| code.status().as_u16() == status && wanted(*code)).collect()
}

/// The codes of a status that have nothing to do with what is asked for.
fn codes_of_all(status: u16) -> Vec<Code> {
    codes(status, |code| kin(code) == Kin::All)
}

fn applies(code: Code, facts: &Facts) -> bool {
    match kin(code) {
        Kin::All => true,
        Kin::Repeatable => facts.is_repeatable,
        Kin::Operations(some) => some.iter().any(|it| facts.id.starts_with(it)),
    }
}

/// Whose error a code is.
#[derive(Debug, PartialEq, Eq)]
enum Kin {
    /// Any operation can answer with it.
    All,
    /// Those that take an idempotency key.
    Repeatable,
    /// Those whose names begin so.
    Operations(&'static [&'static str]),
}

/// A code that is not told apart here may come from anywhere: then too much is said, not too little.
const fn kin(code: Code) -> Kin {
    match code {
        Code::IdempotencyInProgress | Code::IdempotencyMismatch => Kin::Repeatable,
        Code::TypeNotFound => Kin::Operations(&["instances_", "types_", "credentials_", "projects_type_"]),
        Code::WrongStatus => Kin::Operations(&[
            "instances_",
            "types_submit",
            "types_approve",
            "types_reject",
            "projects_type_decide",
        ]),
        Code::CredentialNotFound
        | Code::TypeNotActive
        | Code::CredentialGone
        | Code::CredentialMissing
        | Code::QuotaReached
        | Code::ServerFailed
        | Code::ServerNotReady
        | Code::LaunchQueueFull
        | Code::LaunchesDisabled => Kin::Operations(&["instances_", "types_inspect"]),
        Code::CredentialExpired
        | Code::CredentialChanged
        | Code::PortsExhausted
        | Code::MachineExhausted
        | Code::ShimUnreachable => Kin::Operations(&["instances_", "credentials_", "types_inspect"]),
        Code::NotInspected => Kin::Operations(&["types_inspect"]),
        Code::ApprovalNeeded => Kin::Operations(&["types_"]),
        Code::PackageNotFound | Code::PackageRefused | Code::PackageFailed => {
            Kin::Operations(&["types_import", "types_upgrade"])
        }
        Code::InvitationInvalid | Code::DomainNotAllowed => Kin::Operations(&["members_"]),
        Code::LastOwner => Kin::Operations(&["members_", "organizations_", "users_", "me_"]),
        Code::LinkGone => Kin::Operations(&["exports_"]),
        Code::CredentialInUse => Kin::Operations(&["credentials_delete"]),
        Code::ValidationUnsupported => Kin::Operations(&["credentials_validate"]),
        Code::KeyFromEnvironment | Code::RotationUnderWay | Code::KeyInUse => {
            Kin::Operations(&["master_key_"])
        }
        _ => Kin::All,
    }
}

/// What a status means, where the handler has no better words.
const fn words_of(status: u16) -> &'static str {
    match status {
        200 => "Done",
        201 => "Made",
        202 => "Taken on; it goes on after the answer",
        204 => "Done; there is nothing to say",
        400 => "The request cannot be read",
        401 => "No key, or none that is valid",
        403 => "The caller is known, and may not do this",
        404 => "There is no such thing, or it is not the caller's",
        405 => "The path exists, but not with this method",
        409 => "What is there does not permit it",
        410 => "It was there, and is gone for good",
        412 => "It has changed since it was read",
        413 => "The body is larger than the limit",
        415 => "The body is not JSON by its content type",
        422 => "Fields are wrong; the details name every one",
        429 => "A limit or quota is reached",
        500 => "A fault of ours; the log has the details under the request's id",
        502 => "A server could not be started",
        503 => {
            "Not now: the database, the machine or an instance does not answer, or the service is stopping"
        }
        504 => "A server did not become ready in time",
        _ => "See the code in the body",
    }
}
