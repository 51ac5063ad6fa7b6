//! What one more instance takes of the quotas, and what these are.

use roadstead_accounts::Settings;
use roadstead_model::{Amounts, Quotas};
use roadstead_store::Takes;

use super::Plan;
use super::specification::mebibytes;

/// A whole processor, in the hundredths that quotas count.
const WHOLE_PROCESSOR: f64 = 100.0;

impl Plan {
    /// What the instance may take, of its type as it is now.
    pub(super) fn takes(&self) -> Takes {
        let limits = self.spec.limits();
        Takes {
            memory_mb: i32::try_from(limits.memory_mb).unwrap_or(i32::MAX),
            cpu_percent: hundredths(limits.cpu),
        }
    }

    /// Bytes of memory that the instance may take.
    pub(super) fn memory_limit(&self) -> u64 {
        mebibytes(self.spec.limits().memory_mb)
    }
}

/// A share of processors in whole hundredths, rounded up: nothing is not counted as nothing.
#[expect(
    clippy::cast_possible_truncation,
    reason = "types have at most a few thousand processors, and `as` saturates"
)]
fn hundredths(processors: f64) -> i32 {
    (processors * WHOLE_PROCESSOR).ceil() as i32
}

/// The quotas that the settings say.
pub(super) fn quotas(settings: &Settings) -> Quotas {
    let of = &settings.quotas;
    Quotas {
        user: Amounts {
            instances: settings.max_instances_per_user.into(),
            memory_mb: of.memory_mb_per_user.into(),
            cpu_percent: of.cpu_percent_per_user.into(),
        },
        organization: Amounts {
            instances: of.instances_per_organization.into(),
            memory_mb: of.memory_mb_per_organization.into(),
            cpu_percent: of.cpu_percent_per_organization.into(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_a_processor_is_counted_in_hundredths() {
        assert_eq!([0.25, 0.5, 2.0, 0.001].map(hundredths), [25, 50, 200, 1]);
    }
}
