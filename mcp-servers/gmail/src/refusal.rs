//! What Gmail's refusals mean, and what to do about them.

use roadstead_server_kit::{Code, Failure, Refusal};
use serde_json::Value;

/// Reasons that say "not so fast": nothing was done, and it may be asked for again.
const TOO_FAST: &[&str] = &["rateLimitExceeded", "userRateLimitExceeded", "RATE_LIMIT_EXCEEDED"];

/// Gmail says 403 of quotas, of scopes and of switches alike; the reason tells them apart.
pub fn explain(refusal: &Refusal<'_>) -> Failure {
    let reasons = reasons(refusal.json.as_ref());
    let has = |names: &[&str]| reasons.iter().any(|reason| names.contains(&reason.as_str()));
    let failure = refusal.to_failure();
    let status = refusal.status.as_u16();
    match status {
        403 if has(TOO_FAST) => Failure::new(Code::RateLimited, refusal.sentence())
            .with_status(status)
            .with_retry_after(refusal.retry_after())
            .with_hint("Wait, then ask for less at once."),
        403 if has(&["dailyLimitExceeded", "quotaExceeded"]) => {
            Failure::new(Code::RateLimited, refusal.sentence())
                .with_status(status)
                .with_hint("The quota of the day is used up; it is new tomorrow.")
        }
        403 if has(&["insufficientPermissions", "ACCESS_TOKEN_SCOPE_INSUFFICIENT"]) => failure.with_hint(
            "The login does not allow for this: the person must log in again with the scope \
             https://www.googleapis.com/auth/gmail.modify.",
        ),
        403 if has(&["accessNotConfigured", "SERVICE_DISABLED"]) => failure.with_hint(
            "The Gmail API is switched off in the Google Cloud project of the OAuth client: its owner must enable it.",
        ),
        403 if has(&["domainPolicy"]) => {
            failure.with_hint("The administrator of the account's domain does not allow it.")
        }
        401 => failure.with_hint("The person must log in again and give the new refresh token."),
        404 if refusal.path.ends_with("/history") => failure.with_hint(
            "Changes that long ago are no longer known. Search for messages instead, and go on from the history id \
             that get_profile tells.",
        ),
        404 => failure.with_hint("Check the id: ids are of this account, and of what has not been deleted."),
        429 => failure.with_hint("Wait, then ask for less at once. Sending has limits of its own for each day."),
        500 => failure.may_pass(None),
        _ => failure,
    }
}

/// What Gmail calls the causes, in both places where it does.
fn reasons(json: Option<&Value>) -> Vec<String> {
    let Some(error) = json.map(|json| &json["error"]) else { return Vec::new() };
    let all = ["errors", "details"].into_iter().filter_map(|list| error[list].as_array()).flatten();
    all.filter_map(|each| each["reason"].as_str().map(str::to_owned)).collect()
}
