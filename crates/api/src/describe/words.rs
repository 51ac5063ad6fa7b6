//! What the parameters and fields of conventional names are, wherever they occur.

use roadstead_model::limits::{DEFAULT_PAGE, MAX_NAME_CHARS, MAX_PAGE};
use serde_json::{Value, json};

/// Any text that a request may hold: not blank, and without control characters.
pub(super) const TEXT: &str = "^[^\\u0000-\\u001f\\u007f-\\u009f]*[^\\s\\u0000-\\u001f\\u007f-\\u009f][^\\u0000-\\u001f\\u007f-\\u009f]*$";
/// A whole number and a unit. How long it may be depends on what it is for.
const DURATION: &str = "^[1-9][0-9]{0,7}(s|m|min|h|d)?$";

/// The rules that go with a name, for what is described as no more than a string or a number.
pub(super) fn rules(name: &str) -> Option<Value> {
    Some(match name {
        "id" | "project" | "owner" | "instance" => json!({"format": "uuid"}),
        "limit" => json!({"minimum": 1, "maximum": MAX_PAGE, "default": DEFAULT_PAGE}),
        "cursor" => json!({"minLength": 1, "maxLength": 500, "pattern": "^[A-Za-z0-9_-]+$"}),
        "since" | "until" => json!({"format": "date-time", "maxLength": 40}),
        "type" => json!({"minLength": 1, "maxLength": 50, "pattern": TEXT}),
        "wait" => json!({"enum": ["ready", "none"]}),
        "name" => json!({"minLength": 1, "maxLength": MAX_NAME_CHARS, "pattern": TEXT}),
        "email" | "billing_email" | "support_email" => {
            json!({"maxLength": 254, "pattern": "^[^\\s@\\u0000-\\u001f\\u007f-\\u009f]+@[^\\s@\\u0000-\\u001f\\u007f-\\u009f]+$"})
        }
        "slug" => json!({"maxLength": 63, "pattern": "^[a-z0-9]([a-z0-9-]*[a-z0-9])?$"}),
        "avatar_url" => {
            json!({"maxLength": 2_048, "pattern": "^https?://[^\\u0000-\\u001f\\u007f-\\u009f]*$"})
        }
        "timezone" => json!({"minLength": 1, "maxLength": 64, "pattern": "^[A-Za-z0-9/_+-]+$"}),
        "locale" => json!({"minLength": 1, "maxLength": 64, "pattern": "^[A-Za-z0-9-]+$"}),
        "Idempotency-Key" => json!({"pattern": "^[\\x21-\\x7e]{1,200}$"}),
        "If-Match" => json!({"pattern": "^(\\*|\"[0-9]{1,9}\")$"}),
        _ if is_time(name) => json!({"format": "date-time", "maxLength": 40}),
        _ if is_id(name) => json!({"format": "uuid"}),
        _ => return None,
    })
}

/// The words that go with a name, for parameters that have none.
pub(super) fn meaning(name: &str, place: &str) -> Option<&'static str> {
    Some(match (place, name) {
        ("path", "id") => "Its id.",
        ("query", "limit") => "How many items one page may hold.",
        ("query", "cursor") => "`next_cursor` of the page before, with the same order and filters.",
        ("query", "since") => "Not before this time.",
        ("query", "until") => "Before this time.",
        ("header", "Idempotency-Key") => {
            "Makes a repetition harmless: within 24 hours the same key with the same body gets the first answer."
        }
        ("header", "If-Match") => {
            "The `ETag` that was read: where it has changed since, nothing is done (412). `*` is any."
        }
        _ => return None,
    })
}

/// Whether a field of that name holds a time.
pub(super) fn is_time(name: &str) -> bool {
    name.ends_with("_at")
        || matches!(
            name,
            "at" | "timestamp" | "created_since" | "created_until" | "expires_before" | "searched_to"
        )
}

/// Whether a field of that name holds an id of ours; what others name may look like anything.
pub(super) fn is_id(name: &str) -> bool {
    (name == "id" || name.ends_with("_id")) && !name.ends_with("request_id") && name != "resource_id"
}

/// A duration in a body: text with a unit, or a whole number of seconds.
pub(super) fn duration(name: &str) -> Option<Value> {
    matches!(name, "expires_in" | "idle_limit" | "by" | "grace" | "for").then(|| {
        json!({"anyOf": [{"type": "string", "pattern": DURATION},
                         {"type": "integer", "minimum": 1}]})
    })
}
