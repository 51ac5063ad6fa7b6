//! What a refusal of GitHub's means, and what to do about it.

use std::time::Duration;

use roadstead_server_kit::{Code, Failure, Refusal};
use serde_json::Value;

/// How long GitHub wants nothing to be asked after a secondary limit, if it does not say how long.
const SECONDARY_WAIT: Duration = Duration::from_mins(1);

/// How many of a refusal's details are passed on.
const MAX_DETAILS: usize = 10;

/// The failure that a refusal becomes.
pub(crate) fn explain(refusal: &Refusal<'_>) -> Failure {
    if let Some(failure) = rate_limit(refusal) {
        return failure;
    }
    let failure = refusal.to_failure();
    match refusal.status.as_u16() {
        401 => failure.with_hint("The token is wrong, expired or revoked: a new one is needed."),
        403 => forbidden(refusal, failure),
        404 => match missing_scope(refusal) {
            Some(hint) => failure.with_hint(&hint),
            None => failure.with_hint(
                "It does not exist, or this token may not see it: a private repository needs the scope repo, or a \
                 fine-grained token with access to it.",
            ),
        },
        405 => failure.with_hint("What is asked does not fit its state, or a rule of the repository forbids it."),
        409 => failure.with_hint("It has changed meanwhile, or is empty: read it again, then repeat the change."),
        422 => match details(refusal) {
            Some(details) => failure.with_hint(&details),
            None => failure,
        },
        500..=599 => failure.with_hint("GitHub has trouble; see https://www.githubstatus.com and try again later."),
        _ => failure,
    }
}

/// Too much was asked: of all that a token may ask in an hour (primary), or at once (secondary).
fn rate_limit(refusal: &Refusal<'_>) -> Option<Failure> {
    if !matches!(refusal.status.as_u16(), 403 | 429) {
        return None;
    }
    let is_used_up = refusal.header("x-ratelimit-remaining") == Some("0");
    let is_secondary = refusal.retry_after().is_some()
        || refusal.words().is_some_and(|words| words.to_ascii_lowercase().contains("secondary rate limit"));
    let (what, wait) = if is_secondary {
        ("Too much was asked in a short time.", refusal.retry_after().unwrap_or(SECONDARY_WAIT))
    } else if is_used_up {
        let wait = refusal.time_until("x-ratelimit-reset").unwrap_or(SECONDARY_WAIT);
        ("This token has used up what it may ask for now.", wait)
    } else {
        return None;
    };
    let failure = Failure::new(Code::RateLimited, refusal.sentence())
        .with_status(refusal.status.as_u16())
        .with_hint(what)
        .with_hint(&format!("Try again in {} s.", wait.as_secs().max(1)));
    Some(failure.with_retry_after(Some(wait)))
}

fn forbidden(refusal: &Refusal<'_>, failure: Failure) -> Failure {
    if let Some(sso) = refusal.header("x-github-sso") {
        let place = sso.split(';').find_map(|part| part.trim().strip_prefix("url="));
        return failure.with_hint(&format!(
            "The organisation wants this token to be authorised for single sign-on{}.",
            place.map(|place| format!(", at {place}")).unwrap_or_default()
        ));
    }
    if let Some(hint) = missing_scope(refusal) {
        return failure.with_hint(&hint);
    }
    match refusal.header("x-accepted-github-permissions") {
        Some(needed) if !needed.is_empty() => failure.with_hint(&format!(
            "This token lacks a permission: {} is needed.",
            needed.replace(',', ", ").replace("; ", " or ")
        )),
        _ => failure
            .with_hint("This token's account may not do that, or a rule of the organisation forbids it."),
    }
}

/// A classic token tells its scopes, and GitHub those that would do.
fn missing_scope(refusal: &Refusal<'_>) -> Option<String> {
    let list = |name| -> Option<Vec<&str>> {
        let scopes = refusal.header(name)?.split(',').map(str::trim).filter(|scope| !scope.is_empty());
        Some(scopes.collect())
    };
    let has = list("x-oauth-scopes")?;
    let accepted = list("x-accepted-oauth-scopes").filter(|accepted| !accepted.is_empty())?;
    if accepted.iter().any(|scope| has.contains(scope)) {
        return None;
    }
    let has = if has.is_empty() { "none".to_owned() } else { has.join(", ") };
    Some(format!("This token lacks the scope {}; it has: {has}.", accepted.join(" or ")))
}

/// What GitHub says of each field.
fn details(refusal: &Refusal<'_>) -> Option<String> {
    let errors = refusal.json.as_ref()?.get("errors")?.as_array()?;
    let told: Vec<String> = errors.iter().take(MAX_DETAILS).filter_map(detail).collect();
    (!told.is_empty()).then(|| format!("Details: {}.", told.join("; ")))
}

fn detail(error: &Value) -> Option<String> {
    if let Some(text) = error.as_str() {
        return Some(text.trim_end_matches('.').to_owned());
    }
    let text = |name| error.get(name).and_then(Value::as_str);
    let place = [text("resource"), text("field")].into_iter().flatten().collect::<Vec<_>>().join(".");
    let what = text("message").or_else(|| text("code"))?.trim_end_matches('.');
    Some(if place.is_empty() { what.to_owned() } else { format!("{place}: {what}") })
}
