//! What a role alone does not decide: rules between people, as pure functions.

use roadstead_model::{MemberStatus, Role, Scope, Scopes};

/// Why something that the role permits was not done all the same.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RuleBroken {
    /// Nobody makes themselves more than they are.
    #[error("nobody raises their own role; another owner or admin of the organisation can")]
    OwnRole,
    /// Ownership is the owners' matter.
    #[error("only an owner of the organisation gives or takes ownership; ask one of them")]
    Ownership,
    /// A key that acts for a platform admin would be one.
    #[error("nobody acts for a platform admin; use a key of theirs")]
    ActingForAdmin,
    /// Who acts for others is more than a member.
    #[error("only an owner or admin of the organisation, or a platform admin, acts for others")]
    ActingRole,
    /// Without an owner, nobody could ever change it.
    #[error("the organisation would have no active owner any more; make another member an owner first")]
    LastOwner,
    /// Without an admin, nobody could ever change the platform.
    #[error("this is the last active platform admin; make another user one first")]
    LastAdmin,
    /// An account that others depend on.
    #[error(
        "the account is the only owner of the organisation {organization}, which has other members; make one of them an \
         owner, or delete the organisation first"
    )]
    OwnsOrganization {
        /// Which one, by its slug.
        organization: String,
    },
    /// It belongs to one person, and goes with them.
    #[error(
        "this organisation is one person's own: it has one member, and goes with the account; make another one"
    )]
    PersonalOrganization,
    /// The organisation takes only some addresses.
    #[error("the organisation takes e-mail addresses of these domains only: {}", allowed.join(", "))]
    Domain {
        /// Which ones.
        allowed: Vec<String>,
    },
    /// A role is that of an active member.
    #[error("an invited member has no role to change yet; invite them again with the other role")]
    NotYetMember,
    /// The token opens nothing.
    #[error("this invitation is not known, was used or withdrawn, or is too old; ask for another one")]
    Invitation,
}

/// A change of somebody's membership.
#[derive(Debug, Clone, Copy)]
pub struct MemberChange {
    /// What the one who changes it is; none for a platform admin, who stands outside.
    pub by: Option<Role>,
    /// Whether it is their own.
    pub is_own: bool,
    /// Role and status as they are.
    pub before: (Role, MemberStatus),
    /// Role and status as they are to be; none when the membership ends.
    pub after: Option<(Role, MemberStatus)>,
}

impl MemberChange {
    /// Whether the rules permit it. That an owner stays is for whoever sees all members to say.
    pub fn check(self) -> Result<(), RuleBroken> {
        let (role, status) = self.before;
        if let Some((wanted, wanted_status)) = self.after {
            if status == MemberStatus::Invited && (wanted, wanted_status) != self.before {
                return Err(RuleBroken::NotYetMember);
            }
            if self.is_own && wanted > role {
                return Err(RuleBroken::OwnRole);
            }
        }
        let touches_ownership =
            role == Role::Owner || self.after.is_some_and(|(role, _)| role == Role::Owner);
        let is_change = self.after != Some(self.before);
        let by_owner = self.by.is_none_or(|by| by == Role::Owner);
        if touches_ownership && is_change && !by_owner {
            return Err(RuleBroken::Ownership);
        }
        Ok(())
    }
}

/// May somebody invite a member of this role?
pub fn may_invite(by: Option<Role>, role: Role) -> Result<(), RuleBroken> {
    let may = by.is_none_or(|by| by == Role::Owner) || role != Role::Owner;
    if may { Ok(()) } else { Err(RuleBroken::Ownership) }
}

/// Is an address one that the organisation takes? Without domains, all are.
pub fn check_domain(email: &str, allowed: &[String]) -> Result<(), RuleBroken> {
    let domain = email.rsplit_once('@').map_or("", |(_, domain)| domain);
    if allowed.is_empty() || allowed.iter().any(|each| each.eq_ignore_ascii_case(domain)) {
        Ok(())
    } else {
        Err(RuleBroken::Domain { allowed: allowed.to_vec() })
    }
}

/// What only platform admins use: a key that acts for somebody lends none of it.
const PLATFORM_SCOPES: &[Scope] =
    &[Scope::TypesWrite, Scope::SettingsRead, Scope::SettingsWrite, Scope::UsersAct, Scope::DatabaseAdmin];

/// The scopes of a key that acts for somebody else.
pub fn acting_scopes(of_key: &Scopes) -> Scopes {
    of_key.iter().filter(|scope| !PLATFORM_SCOPES.contains(scope)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACTIVE: MemberStatus = MemberStatus::Active;

    fn change(by: Role, before: Role, after: Role) -> MemberChange {
        MemberChange { by: Some(by), is_own: false, before: (before, ACTIVE), after: Some((after, ACTIVE)) }
    }

    #[test]
    fn nobody_raises_their_own_role_but_everybody_may_step_down() {
        let own = |before, after| MemberChange { is_own: true, ..change(before, before, after) };
        assert_eq!(own(Role::Admin, Role::Owner).check(), Err(RuleBroken::OwnRole));
        assert_eq!(own(Role::Viewer, Role::Member).check(), Err(RuleBroken::OwnRole));
        assert_eq!(own(Role::Owner, Role::Member).check(), Ok(()));
    }

    #[test]
    fn only_owners_and_platform_admins_give_or_take_ownership() {
        for (before, after) in [(Role::Member, Role::Owner), (Role::Owner, Role::Member)] {
            assert_eq!(change(Role::Admin, before, after).check(), Err(RuleBroken::Ownership));
            assert_eq!(change(Role::Owner, before, after).check(), Ok(()));
            assert_eq!(MemberChange { by: None, ..change(Role::Owner, before, after) }.check(), Ok(()));
        }
        let suspended = MemberChange {
            after: Some((Role::Owner, MemberStatus::Suspended)),
            ..change(Role::Admin, Role::Owner, Role::Owner)
        };
        assert_eq!(suspended.check(), Err(RuleBroken::Ownership));
        let removed = MemberChange { after: None, ..change(Role::Admin, Role::Owner, Role::Owner) };
        assert_eq!(removed.check(), Err(RuleBroken::Ownership));
        assert_eq!(change(Role::Admin, Role::Viewer, Role::Admin).check(), Ok(()));
        assert_eq!(may_invite(Some(Role::Admin), Role::Owner), Err(RuleBroken::Ownership));
        assert_eq!(may_invite(Some(Role::Admin), Role::Admin), Ok(()));
    }

    #[test]
    fn who_was_invited_has_no_role_yet() {
        let before = (Role::Member, MemberStatus::Invited);
        let promoted = MemberChange { before, ..change(Role::Owner, Role::Member, Role::Admin) };
        assert_eq!(promoted.check(), Err(RuleBroken::NotYetMember));
        assert_eq!(
            MemberChange { after: None, ..promoted }.check(),
            Ok(()),
            "an invitation can be withdrawn"
        );
    }

    #[test]
    fn domains_are_compared_whole_and_without_case() {
        let allowed = ["Example.org".to_owned()];
        assert!(check_domain("ada@example.ORG", &allowed).is_ok());
        assert!(check_domain("ada@sub.example.org", &allowed).is_err());
        assert!(check_domain("ada@notexample.org", &allowed).is_err());
        assert!(check_domain("ada@anywhere.net", &[]).is_ok());
    }

    #[test]
    fn a_key_that_acts_for_somebody_lends_no_platform_scope() {
        let lent = acting_scopes(&Scopes::all());
        assert!(PLATFORM_SCOPES.iter().all(|scope| !lent.contains(*scope)));
        assert!(lent.contains(Scope::InstancesLaunch));
    }
}
