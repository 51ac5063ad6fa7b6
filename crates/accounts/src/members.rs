//! Members: invited by a token that is shown once, with roles that owners and admins give and take.

use roadstead_access::rules::{MemberChange, check_domain, may_invite};
use roadstead_access::{Permit, RuleBroken};
use roadstead_crypto::{PlainToken, TokenKind};
use roadstead_model::{Changes, MemberId, MemberStatus, OrganizationId, Reach, Role, UserId, UserStatus};
use roadstead_store::{Change, MemberRow, NewInvitation, OrganizationRow, Page, PageRequest};
use serde_json::json;
use time::Duration;

use crate::organizations::{entry, expect};
use crate::users::NewUser;
use crate::{Accounts, AccountsError};

/// How long an invitation can be answered.
const INVITATION_LIFETIME: Duration = Duration::days(7);

/// What is to become different of a membership.
#[derive(Debug, Clone, Copy, Default)]
pub struct MemberPatch {
    /// What they are.
    pub role: Option<Role>,
    /// Whether they take part; active or suspended.
    pub status: Option<MemberStatus>,
}

impl Accounts {
    /// Members of an organisation that the caller acts in, and who is invited.
    pub async fn members(
        &self,
        permit: &Permit,
        organization: OrganizationId,
        page: PageRequest,
    ) -> Result<Page<MemberRow>, AccountsError> {
        within(permit, organization)?;
        let seen = self.store().seen_by(permit.view());
        if seen.organizations().get(organization, None).await?.is_none() {
            return Err(ORGANIZATION);
        }
        Ok(seen.members().list(organization, page).await?)
    }

    /// Invites somebody, or invites them anew; the token is shown once. An address that nobody has yet becomes a user who
    /// waits for a platform admin: whether it is known is not told.
    pub async fn invite_member(
        &self,
        permit: &Permit,
        organization: OrganizationId,
        email: &str,
        role: Role,
    ) -> Result<(MemberRow, PlainToken), AccountsError> {
        within(permit, organization)?;
        // As the service: who is not a member yet is out of the caller's view.
        let mut change = self.store().system_change().await?;
        let place = locked(&mut change, permit, organization).await?;
        if place.personal_of.is_some() {
            return Err(RuleBroken::PersonalOrganization.into());
        }
        may_invite(acting_role(permit), role)?;
        check_domain(email, &place.allowed_email_domains)?;
        let user = if let Some(found) = self.store().users().by_email(email).await? {
            found.id
        } else {
            let name = email.chars().take(roadstead_model::limits::MAX_NAME_CHARS).collect();
            let new = NewUser { email: email.to_owned(), name, is_admin: false };
            let new = self.row_of(new, UserStatus::Invited);
            change.users().create(&new).await?;
            new.id
        };
        let at = self.now();
        let (new, token) = {
            let (clock, mut rng) = (&*self.0.clock, self.0.randomness.lock());
            let id = MemberId::new(clock, &mut *rng);
            let token = PlainToken::generate(TokenKind::Invite, &mut *rng);
            let (hash, expires_at) = (*token.hash().as_bytes(), at + INVITATION_LIFETIME);
            (
                NewInvitation {
                    id,
                    organization,
                    user,
                    role,
                    invited_by: permit.user(),
                    hash,
                    expires_at,
                    at,
                },
                token,
            )
        };
        if !change.members().invite(&new).await? {
            return Err(AccountsError::AlreadyExists { noun: "member", field: "e-mail address" });
        }
        let row = change.members().get(organization, user).await?.ok_or(MEMBER)?;
        change.commit(&entry(permit, organization, &user, Changes::created(&row), at)).await?;
        Ok((row, token))
    }

    /// Changes a member's role, suspends them or lets them act again.
    pub async fn patch_member(
        &self,
        permit: &Permit,
        organization: OrganizationId,
        user: UserId,
        expected: Option<i32>,
        patch: MemberPatch,
    ) -> Result<MemberRow, AccountsError> {
        within(permit, organization)?;
        let mut change = self.store().change(permit.view()).await?;
        locked(&mut change, permit, organization).await?;
        let before = change.members().lock(organization, user).await?.ok_or(MEMBER)?;
        expect(expected, before.version)?;
        let mut after = before.clone();
        after.role = patch.role.unwrap_or(before.role);
        after.status = patch.status.unwrap_or(before.status);
        rule(permit, &before, Some(&after)).check()?;
        if after == before {
            change.nothing_changed().await?;
            return Ok(before);
        }
        change.members().save(&after).await?;
        let saved = change.members().get(organization, user).await?.ok_or(MEMBER)?;
        change
            .commit(&entry(permit, organization, &user, Changes::between(&before, &saved), self.now()))
            .await?;
        Ok(saved)
    }

    /// Whether a member may be removed: whoever must end what is theirs asks before.
    pub async fn may_remove_member(
        &self,
        permit: &Permit,
        organization: OrganizationId,
        user: UserId,
        expected: Option<i32>,
    ) -> Result<(), AccountsError> {
        within(permit, organization)?;
        let mut change = self.store().system_change().await?;
        let checked = self.removable(&mut change, permit, organization, user, expected).await;
        change.nothing_changed().await?;
        checked.map(drop)
    }

    /// Removes a member, or withdraws an invitation; the keys of theirs that act in the organisation are revoked.
    pub async fn remove_member(
        &self,
        permit: &Permit,
        organization: OrganizationId,
        user: UserId,
        expected: Option<i32>,
    ) -> Result<(), AccountsError> {
        within(permit, organization)?;
        // As the service: who leaves does not see who stays.
        let mut change = self.store().system_change().await?;
        let row = self.removable(&mut change, permit, organization, user, expected).await?;
        let at = self.now();
        change.members().remove(&row, at).await?;
        let changes = Changes::default().with("role", Some(&json!(row.role.as_str())), &json!(null)).with(
            "status",
            Some(&json!(row.status.as_str())),
            &json!("removed"),
        );
        Ok(change.commit(&entry(permit, organization, &user, changes, at)).await?)
    }

    /// Takes part in the organisation that a token invites the caller to.
    pub async fn accept_invitation(&self, permit: &Permit, token: &str) -> Result<MemberRow, AccountsError> {
        let token = PlainToken::parse(TokenKind::Invite, token)
            .map_err(|_| AccountsError::from(RuleBroken::Invitation))?;
        let at = self.now();
        // As the service: the organisation is out of the caller's view until they are a member.
        let mut change = self.store().system_change().await?;
        let found = change.members().accept(token.hash().as_bytes(), permit.user(), at).await?;
        let organization = found.ok_or(RuleBroken::Invitation)?;
        let row = change.members().get(organization, permit.user()).await?.ok_or(MEMBER)?;
        let changes = Changes::default().with("status", Some(&json!("invited")), &json!("active"));
        change.commit(&entry(permit, organization, &permit.user(), changes, at)).await?;
        Ok(row)
    }

    async fn removable(
        &self,
        change: &mut Change<'_>,
        permit: &Permit,
        organization: OrganizationId,
        user: UserId,
        expected: Option<i32>,
    ) -> Result<MemberRow, AccountsError> {
        let place = locked(change, permit, organization).await?;
        let row = change.members().lock(organization, user).await?.ok_or(MEMBER)?;
        expect(expected, row.version)?;
        if place.personal_of == Some(user) {
            return Err(RuleBroken::PersonalOrganization.into());
        }
        rule(permit, &row, None).check()?;
        let is_owner = row.role == Role::Owner && row.status == MemberStatus::Active;
        if is_owner && !change.members().another_owner(organization, user).await? {
            return Err(RuleBroken::LastOwner.into());
        }
        Ok(row)
    }
}

const ORGANIZATION: AccountsError = AccountsError::NotFound { what: "organisation" };
const MEMBER: AccountsError = AccountsError::NotFound { what: "member" };

/// Whose members are seen and changed: those of the organisation that the caller acts in, or all; one's own, anywhere.
fn within(permit: &Permit, organization: OrganizationId) -> Result<(), AccountsError> {
    let view = permit.view();
    let reaches = view.reach == Reach::Own || view.within().is_none_or(|within| within == organization);
    if reaches { Ok(()) } else { Err(ORGANIZATION) }
}

/// The organisation, held: of two owners who step down at once, the second sees that the first did.
async fn locked(
    change: &mut Change<'_>,
    permit: &Permit,
    organization: OrganizationId,
) -> Result<OrganizationRow, AccountsError> {
    let view = match permit.view().reach {
        // Their own membership may be in any.
        Reach::Own => roadstead_model::View { organization, ..permit.view() },
        Reach::Organization | Reach::All => permit.view(),
    };
    change.organizations().lock(organization, view).await?.ok_or(ORGANIZATION)
}

/// What the caller is to the organisation; none for a platform admin, who stands outside.
fn acting_role(permit: &Permit) -> Option<Role> {
    (permit.view().reach != Reach::All).then_some(permit.role())
}

fn rule(permit: &Permit, before: &MemberRow, after: Option<&MemberRow>) -> MemberChange {
    let is_own = before.user == permit.user();
    MemberChange {
        // Whoever leaves takes nothing but their own.
        by: if is_own && after.is_none() { None } else { acting_role(permit) },
        is_own,
        before: (before.role, before.status),
        after: after.map(|after| (after.role, after.status)),
    }
}
