//! For whom a key acts: `X-Roadstead-User`, by id or by e-mail address.

use http::{HeaderMap, HeaderName};
use roadstead_access::Caller;

use crate::error::{ApiError, Code};
use crate::state::ApiState;

/// The header.
const ACT_FOR: HeaderName = HeaderName::from_static("x-roadstead-user");
/// Longest that it may be: an e-mail address.
const MAX_NAMED_CHARS: usize = 254;

/// The user whom the caller acts for, where they name one.
pub(crate) async fn acting(
    state: &ApiState,
    headers: &HeaderMap,
    caller: &Caller,
) -> Result<Option<Caller>, ApiError> {
    let Some(named) = headers.get(&ACT_FOR) else { return Ok(None) };
    let named =
        named.to_str().ok().map(str::trim).filter(|named| (1..=MAX_NAMED_CHARS).contains(&named.len()));
    let malformed =
        || ApiError::new(Code::Malformed, "X-Roadstead-User must be a user's id or e-mail address");
    Ok(Some(state.accounts().act_for(caller.clone(), named.ok_or_else(malformed)?).await?))
}
