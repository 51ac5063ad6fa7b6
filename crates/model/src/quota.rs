//! How much one user and one organisation may have at one time.

/// What is counted, or how much of it may be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Amounts {
    /// Live instances.
    pub instances: u64,
    /// The memory that they may take, in sum.
    pub memory_mb: u64,
    /// The processor time that they may take, in sum, in hundredths of a processor.
    pub cpu_percent: u64,
}

/// What may be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quotas {
    /// Of one user, wherever they act.
    pub user: Amounts,
    /// Of one organisation, whoever acts in it.
    pub organization: Amounts,
}

/// Whose quota.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QuotaOf {
    /// The user's.
    User,
    /// The organisation's.
    Organization,
}

/// Of what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QuotaItem {
    /// Live instances.
    Instances,
    /// Memory.
    MemoryMb,
    /// Processor time.
    CpuPercent,
    /// Credentials.
    Credentials,
    /// Active API keys.
    ApiKeys,
}

/// A quota that does not permit one more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the {} may have {limit} {}; {used} are in use, and this would take {wanted}",
    of.for_people(), item.for_people()
)]
pub struct QuotaReached {
    /// Whose.
    pub of: QuotaOf,
    /// Of what.
    pub item: QuotaItem,
    /// How much is in use.
    pub used: u64,
    /// How much more was wanted.
    pub wanted: u64,
    /// How much there may be.
    pub limit: u64,
}

impl QuotaOf {
    /// The word for it in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Organization => "organization",
        }
    }

    const fn for_people(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Organization => "organisation",
        }
    }
}

impl QuotaItem {
    /// The word for it in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Instances => "instances",
            Self::MemoryMb => "memory_mb",
            Self::CpuPercent => "cpu_percent",
            Self::Credentials => "credentials",
            Self::ApiKeys => "api_keys",
        }
    }

    const fn for_people(self) -> &'static str {
        match self {
            Self::Instances => "live instances",
            Self::MemoryMb => "MB of memory in its live instances",
            Self::CpuPercent => "hundredths of a processor in its live instances",
            Self::Credentials => "credentials",
            Self::ApiKeys => "active API keys",
        }
    }
}

impl Amounts {
    /// No limit.
    pub const UNLIMITED: Self = Self { instances: u64::MAX, memory_mb: u64::MAX, cpu_percent: u64::MAX };

    /// Whether so much more fits beside what is in use. The first of them that does not is named.
    pub fn check(self, of: QuotaOf, used: Self, wanted: Self) -> Result<(), QuotaReached> {
        let items = [
            (QuotaItem::Instances, used.instances, wanted.instances, self.instances),
            (QuotaItem::MemoryMb, used.memory_mb, wanted.memory_mb, self.memory_mb),
            (QuotaItem::CpuPercent, used.cpu_percent, wanted.cpu_percent, self.cpu_percent),
        ];
        for (item, used, wanted, limit) in items {
            if used.saturating_add(wanted) > limit {
                return Err(QuotaReached { of, item, used, wanted, limit });
            }
        }
        Ok(())
    }
}

impl Quotas {
    /// So many live instances of a user, and no other limit.
    pub const fn instances(of_user: u32) -> Self {
        let user = Amounts { instances: of_user as u64, ..Amounts::UNLIMITED };
        Self { user, organization: Amounts::UNLIMITED }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Amounts = Amounts { instances: 3, memory_mb: 1024, cpu_percent: 200 };

    fn amounts(instances: u64, memory_mb: u64, cpu_percent: u64) -> Amounts {
        Amounts { instances, memory_mb, cpu_percent }
    }

    #[test]
    fn what_just_fits_is_permitted() {
        assert_eq!(LIMIT.check(QuotaOf::User, amounts(2, 512, 100), amounts(1, 512, 100)), Ok(()));
    }

    #[test]
    fn what_does_not_fit_is_named_with_what_is_used_and_allowed() {
        let reached = |used, wanted| LIMIT.check(QuotaOf::Organization, used, wanted).unwrap_err();
        assert_eq!(reached(amounts(3, 0, 0), amounts(1, 0, 0)).item, QuotaItem::Instances);
        assert_eq!(reached(amounts(0, 0, 150), amounts(1, 0, 51)).item, QuotaItem::CpuPercent);
        let memory = reached(amounts(1, 600, 0), amounts(1, 425, 0));
        assert_eq!(
            (memory.item, memory.used, memory.wanted, memory.limit),
            (QuotaItem::MemoryMb, 600, 425, 1024)
        );
        assert_eq!(
            memory.to_string(),
            "the organisation may have 1024 MB of memory in its live instances; 600 are in use, and this would take 425"
        );
    }

    #[test]
    fn without_a_limit_everything_fits() {
        let used = amounts(u64::MAX - 1, u64::MAX, 7);
        assert!(Amounts::UNLIMITED.check(QuotaOf::User, used, amounts(1, 9, 9)).is_ok());
        assert!(Quotas::instances(0).user.check(QuotaOf::User, amounts(0, 0, 0), amounts(1, 0, 0)).is_err());
    }
}
