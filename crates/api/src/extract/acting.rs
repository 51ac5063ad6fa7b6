//! For whom a key acts: `X-Roadstead-User`, by id or by e-mail address.

use http::{HeaderMap, HeaderName};
use roadstead_access::Caller;

use crate::error::{ApiError, Code};
use crate::state::ApiState;

/// The header.
const ACT_FOR: HeaderName = HeaderName::from_static("x-roadstead-user");
/// Longest that it may be: an e-mail address.
const MAX_NAMED_CHARS: usize = 254;

/// The caller, or the user whom they act for.
pub(crate) async fn acting(
    state: &ApiState,
    headers: &HeaderMap,
    caller: Caller,
) -> Result<Caller, ApiError> {
    let Some(named) = headers.get(&ACT_FOR) else { return Ok(caller) };
    let named =
        named.to_str().ok().map(str::trim).filter(|named| (1..=MAX_NAMED_CHARS).contains(&named.len()));
    let malformed =
        || ApiError::new(Code::Malformed, "X-Roadstead-User must be a user's id or e-mail address");
    Ok(state.accounts().act_for(caller, named.ok_or_else(malformed)?).await?)
}
