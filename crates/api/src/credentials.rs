//! `/credentials`: secret values by name. Written, replaced, tried out, deleted; never read.

pub(crate) mod create;
pub(crate) mod delete;
pub(crate) mod list;
pub(crate) mod replace;
pub(crate) mod show;
pub(crate) mod usage;
pub(crate) mod validate;

use time::OffsetDateTime;

use crate::extract::fields::Fields;
use crate::wire::time_field;

/// The end of a credential: `expires_at`, or `expires_in` from now on. None when nothing is said, none inside when it is null.
#[expect(clippy::option_option, reason = "nothing said, never, and a time are three things")]
fn end_field(fields: &mut Fields, now: OffsetDateTime) -> Option<Option<OffsetDateTime>> {
    let never = fields.is_null("expires_at");
    let at = time_field(fields, "expires_at");
    let span = fields.duration("expires_in");
    if span.is_some() && (never || at.is_some()) {
        fields.problem("expires_in", "cannot be given together with expires_at");
        return None;
    }
    let Some(span) = span else { return if never { Some(None) } else { at.map(Some) } };
    let end = time::Duration::try_from(span).ok().and_then(|span| now.checked_add(span));
    if end.is_none() {
        fields.problem("expires_in", "is longer than time is counted");
    }
    end.map(Some)
}
