//! `/organizations/{id}/members` and `/invitations`: who takes part.

use axum::Json;
use axum::extract::State;
use http::{HeaderMap, StatusCode};
use roadstead_access::Permit;
use roadstead_accounts::MemberPatch;
use roadstead_model::{MemberStatus, Operation, OrganizationId, Role, UserId};
use roadstead_orchestrator::Leaving;

use super::fields::{page, required_email};
use crate::error::{ApiError, ErrorBody};
use crate::extract::{Authenticated, JsonBody, PathId, PathIds, QueryFields, Tagged, if_match, tagged};
use crate::idempotency::{Answer, once};
use crate::state::ApiState;
use crate::wire::{AcceptBody, Invitation, InviteBody, Member, MemberBody, Page};

/// Longest token that is looked at.
const MAX_TOKEN_CHARS: usize = 200;
/// What a role may be.
const ROLES: &str = "owner, admin, member or viewer";

/// List members
///
/// Of the organisation that the key acts in, with those who are invited; of any for platform admins.
#[utoipa::path(get, operation_id = "members_list", path = "/organizations/{id}/members", tag = "organizations",
    params(("id" = String, Path), ("limit" = Option<u32>, Query), ("cursor" = Option<String>, Query)),
    responses((status = 200, body = Page<Member>), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody), (status = 422, body = ErrorBody)))]
pub(crate) async fn list(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    PathId(organization): PathId<OrganizationId>,
    QueryFields(mut fields): QueryFields,
) -> Result<Json<Page<Member>>, ApiError> {
    let permit = caller.may(Operation::MembersList)?;
    let page = page(&mut fields);
    fields.finish()?;
    let members = state.accounts().members(&permit, organization, page).await?;
    Ok(Json(Page::of(members, Member::new)))
}

/// Invite a member
///
/// The token is shown only here; no mail is sent. It is good for seven days, for the one who is invited. To invite
/// somebody again replaces it.
#[utoipa::path(post, operation_id = "members_invite", path = "/organizations/{id}/members", tag = "organizations",
    request_body = InviteBody,
    params(("id" = String, Path), ("Idempotency-Key" = Option<String>, Header)),
    responses((status = 201, body = Invitation), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody), (status = 404, body = ErrorBody), (status = 409, body = ErrorBody),
        (status = 413, body = ErrorBody), (status = 415, body = ErrorBody), (status = 422, body = ErrorBody)))]
pub(crate) async fn invite(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    PathId(organization): PathId<OrganizationId>,
    headers: HeaderMap,
    JsonBody { mut fields, bytes }: JsonBody,
) -> Result<Answer, ApiError> {
    let permit = caller.may(Operation::MembersInvite)?;
    let email = required_email(&mut fields);
    let role = fields.parsed::<Role>("role", ROLES).unwrap_or(Role::Member);
    fields.finish()?;
    let request = [organization.to_string().as_bytes(), b"\n", &bytes].concat();
    let work = {
        let state = state.clone();
        async move {
            let (row, token) = state.accounts().invite_member(&permit, organization, &email, role).await?;
            Ok(Answer::json(StatusCode::CREATED, &Invitation::new(row, &token)))
        }
    };
    once(&state, &caller, &headers, "POST /organizations/{id}/members", &request, work).await
}

/// Change a member
///
/// Their role, or whether they take part: `active` or `suspended`. Only owners give and take ownership, nobody raises
/// their own role, and the last owner stays.
#[utoipa::path(patch, operation_id = "members_patch", path = "/organizations/{id}/members/{user}", tag = "organizations",
    request_body = MemberBody,
    params(("id" = String, Path), ("user" = String, Path), ("If-Match" = Option<String>, Header)),
    responses((status = 200, body = Member), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody), (status = 404, body = ErrorBody), (status = 409, body = ErrorBody),
        (status = 412, body = ErrorBody), (status = 413, body = ErrorBody), (status = 415, body = ErrorBody),
        (status = 422, body = ErrorBody)))]
pub(crate) async fn patch(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    PathIds(organization, user): PathIds<OrganizationId, UserId>,
    headers: HeaderMap,
    JsonBody { mut fields, .. }: JsonBody,
) -> Result<Tagged<Member>, ApiError> {
    let permit = caller.may(Operation::MembersPatch)?;
    let expected = if_match(&headers)?;
    let patch = MemberPatch {
        role: fields.parsed::<Role>("role", ROLES),
        status: fields.parsed::<MemberStatus>("status", "active or suspended"),
    };
    if patch.status == Some(MemberStatus::Invited) {
        fields.problem("status", "must be active or suspended");
    }
    fields.finish()?;
    let member = state.accounts().patch_member(&permit, organization, user, expected, patch).await?;
    Ok(tagged(member.version, Member::new(member)))
}

/// Remove a member
///
/// Or withdraw an invitation. What runs for them in the organisation ends, and their keys that act in it are revoked.
#[utoipa::path(delete, operation_id = "members_remove", path = "/organizations/{id}/members/{user}", tag = "organizations",
    params(("id" = String, Path), ("user" = String, Path), ("If-Match" = Option<String>, Header)),
    responses((status = 204, description = "Removed"), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody), (status = 404, body = ErrorBody), (status = 409, body = ErrorBody),
        (status = 412, body = ErrorBody)))]
pub(crate) async fn remove(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    PathIds(organization, user): PathIds<OrganizationId, UserId>,
    headers: HeaderMap,
) -> Result<StatusCode, ApiError> {
    let permit = caller.may(Operation::MembersRemove)?;
    let expected = if_match(&headers)?;
    end_membership(&state, permit, organization, user, expected).await
}

/// Leave an organisation
///
/// What runs for the caller there ends, and their keys that act in it are revoked. The last owner stays.
#[utoipa::path(post, operation_id = "members_leave", path = "/organizations/{id}/leave", tag = "organizations",
    params(("id" = String, Path)),
    responses((status = 204, description = "Left"), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody), (status = 409, body = ErrorBody)))]
pub(crate) async fn leave(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    PathId(organization): PathId<OrganizationId>,
) -> Result<StatusCode, ApiError> {
    let permit = caller.may(Operation::MembersLeave)?;
    let user = permit.user();
    end_membership(&state, permit, organization, user, None).await
}

/// Accept an invitation
///
/// With a key of the user who is invited.
#[utoipa::path(post, operation_id = "members_accept", path = "/invitations/accept", tag = "organizations",
    request_body = AcceptBody,
    responses((status = 200, body = Member), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody), (status = 404, body = ErrorBody), (status = 413, body = ErrorBody),
        (status = 415, body = ErrorBody), (status = 422, body = ErrorBody)))]
pub(crate) async fn accept(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    JsonBody { mut fields, .. }: JsonBody,
) -> Result<Tagged<Member>, ApiError> {
    let permit = caller.may(Operation::MembersAccept)?;
    let token = fields.required_text("token", MAX_TOKEN_CHARS);
    fields.finish()?;
    let member = state.accounts().accept_invitation(&permit, &token).await?;
    Ok(tagged(member.version, Member::new(member)))
}

async fn end_membership(
    state: &ApiState,
    permit: Permit,
    organization: OrganizationId,
    user: UserId,
    expected: Option<i32>,
) -> Result<StatusCode, ApiError> {
    let work = {
        let state = state.clone();
        async move {
            let leaving = Leaving::User(user, Some(organization));
            state.accounts().may_remove_member(&permit, organization, user, expected).await?;
            state.orchestrator().end_all_of(&permit, leaving).await?;
            state.accounts().remove_member(&permit, organization, user, expected).await?;
            // What was launched between the two; no key of theirs acts in it any more.
            state.orchestrator().end_all_of(&permit, leaving).await?;
            Ok(StatusCode::NO_CONTENT)
        }
    };
    state.detached(work).await
}
