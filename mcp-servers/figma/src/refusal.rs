//! What Figma's refusals mean, and what to do about them.

use roadstead_server_kit::{Code, Failure, Refusal};

/// Figma says 403 both of a token that it does not know and of a thing that the token may not see.
pub fn explain(refusal: &Refusal<'_>) -> Failure {
    let words = refusal.words().unwrap_or_default().to_lowercase();
    let failure = refusal.to_failure();
    match refusal.status.as_u16() {
        401 => failure.with_hint(NEW_TOKEN),
        403 if words.contains("scope") => failure.with_hint(
            "The token lacks a scope. The person whose token it is can make one that has the scope named above.",
        ),
        403 if words.contains("token") => {
            Failure::new(Code::Unauthorized, refusal.sentence()).with_status(403).with_hint(NEW_TOKEN)
        }
        403 if refusal.path.contains("/variables/") => failure.with_hint(
            "Variables can be read by full members of organisations with an Enterprise plan only, with the scope \
             file_variables:read.",
        ),
        403 => failure.with_hint("The account that the token is of may not see this, or may not change it."),
        400 => failure.with_hint("Check the ids and the other arguments; a large file may need `depth` or `nodes`."),
        404 => failure.with_hint(
            "Check the key or the id. Figma says the same of things that the token's account may not see.",
        ),
        413 => failure.with_hint("Ask for less at once: fewer nodes, less depth."),
        429 => failure.with_hint(too_many(refusal)),
        _ => failure,
    }
}

const NEW_TOKEN: &str = "The token is wrong, revoked or has run out: the person whose it is must give a new one. It \
                         cannot be mended by another call.";

/// Seats that may only look have few requests in a month.
fn too_many(refusal: &Refusal<'_>) -> &'static str {
    match refusal.header("x-figma-rate-limit-type") {
        Some("low") => {
            "The account's seat allows few requests; it is the seat that makes the difference, not the wait."
        }
        _ => {
            "Wait as long as it says before asking again, and ask for more at once: several nodes in one call."
        }
    }
}
