//! Error codes of one era for a client of the other.

use crate::message::compose;

/// A resource that does not exist, in the older revisions.
pub(super) const RESOURCE_NOT_FOUND: i64 = -32002;
/// The user has to visit a page first, in the revision of 2025-11-25 alone.
pub(super) const URL_ELICITATION_REQUIRED: i64 = -32042;

/// The code of a legacy server's error for a modern client (2026-07-28, Base Protocol, Error Codes): codes that the revision
/// gives a meaning of its own, or reserves, must not come from a server that knows nothing of it. `names_capability` says that
/// the error tells which capability is missing, as only a server that means it does.
pub(super) fn to_modern(code: i64, names_capability: bool) -> i64 {
    match code {
        compose::MISSING_CAPABILITY if names_capability => code,
        RESOURCE_NOT_FOUND => compose::INVALID_PARAMS,
        -32099..=-32020 => compose::INTERNAL,
        other => other,
    }
}

/// The code of a modern server's error for a legacy client. `missing_resource` says that the error names a resource which was
/// to be read.
pub(super) fn to_legacy(code: i64, missing_resource: bool) -> i64 {
    match code {
        compose::INVALID_PARAMS if missing_resource => RESOURCE_NOT_FOUND,
        compose::MISSING_CAPABILITY => compose::INVALID_REQUEST,
        -32099..=-32020 => compose::INTERNAL,
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_without_a_meaning_on_the_other_side_do_not_pass() {
        assert_eq!(
            [-32002, -32042, -32021, -32601, -1].map(|code| to_modern(code, false)),
            [-32602, -32603, -32603, -32601, -1]
        );
        assert_eq!([-32021, -32020, -32602].map(|code| to_legacy(code, false)), [-32600, -32603, -32602]);
        assert_eq!((to_legacy(-32602, true), to_modern(-32021, true)), (-32002, -32021));
    }
}
