//! The audit log, the feed and what happened to the service, for those who may see them; and the signatures of anchors.

use std::sync::Arc;

use roadstead_access::Permit;
use roadstead_crypto::{ExposeSecret, KeyId, KeyRing};
use roadstead_model::{NewAudit, Reach, retention};
use roadstead_store::{
    AuditCursor, AuditFilter, AuditRow, FeedFilter, FeedRow, NewSystemEvent, Page, Signer, SystemEventFilter,
    SystemEventRow, Verified,
};
use serde_json::json;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use crate::{Accounts, AccountsError};

/// Tells the signatures of anchors apart from whatever else is made from the keys.
const ANCHOR_LABEL: &str = "roadstead audit anchor 1";
/// An entry that waits longer for its link means that nobody seals.
const LAG: Duration = Duration::seconds(10);

/// Signs places of the audit log's chains with the newest master key, and looks at signatures of every key in the ring.
#[derive(Debug)]
pub struct Anchors(Arc<KeyRing>);

impl Signer for Anchors {
    fn sign(&self, text: &[u8]) -> (u32, [u8; 32]) {
        let made = self.0.derive(ANCHOR_LABEL, text).next();
        let made = made.expect("a ring has a key");
        (self.0.sealing_key().get(), *made.expose_secret())
    }

    fn is_right(&self, key: u32, text: &[u8], signature: &[u8]) -> Option<bool> {
        let wanted = KeyId::from_number(key);
        let mut made = self.0.key_ids().zip(self.0.derive(ANCHOR_LABEL, text));
        let (_, made) = made.find(|(id, _)| *id == wanted)?;
        let made = made.expose_secret();
        // Without telling by the time it takes how much of it is right.
        let differs = made.iter().zip(signature).fold(0, |differs, (a, b)| differs | (a ^ b));
        Some(signature.len() == made.len() && differs == 0)
    }
}

/// Whether entries wait for a sealer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lagging(pub bool);

impl Accounts {
    /// Whoever signs anchors.
    pub fn anchors(&self) -> Anchors {
        Anchors(self.ring())
    }

    /// Entries of the log that the caller may see.
    pub async fn audit(
        &self,
        permit: &Permit,
        filter: &AuditFilter,
    ) -> Result<Page<AuditRow, AuditCursor>, AccountsError> {
        Ok(self.store().seen_by(permit.view()).audit().list(filter).await?)
    }

    /// Verifies the chain of the caller's organisation; for a platform admin one chain, or all.
    pub async fn verify_audit(
        &self,
        permit: &Permit,
        organization: Option<Uuid>,
    ) -> Result<Verified, AccountsError> {
        let chain = match permit.view().reach {
            Reach::All => organization,
            Reach::Own | Reach::Organization => {
                let own = permit.organization().uuid();
                if organization.is_some_and(|asked| asked != own) {
                    return Err(AccountsError::NotFound { what: "organisation" });
                }
                Some(own)
            }
        };
        Ok(self.store().audit().verify(chain, Some(&self.anchors())).await?)
    }

    /// Writes an entry that stands for so many of its kind, in a transaction of its own: a refusal has none.
    pub async fn note_refusal(&self, entry: &NewAudit, times: i32) -> Result<(), AccountsError> {
        Ok(self.store().audit().append_times(entry, times).await?)
    }

    /// Whether a request has written its entry itself since it began.
    pub async fn has_noted(
        &self,
        request: &str,
        action: &str,
        key: Option<roadstead_model::ApiKeyId>,
        since: OffsetDateTime,
    ) -> Result<bool, AccountsError> {
        let key = key.map(roadstead_model::ApiKeyId::uuid);
        Ok(self.store().audit().is_written(request, action, key, since).await?)
    }

    /// What the caller may see of the feed after a position.
    pub async fn feed(&self, permit: &Permit, filter: &FeedFilter) -> Result<Vec<FeedRow>, AccountsError> {
        Ok(self.store().seen_by(permit.view()).feed().after(filter).await?)
    }

    /// The first and the last position that are kept of the feed.
    pub async fn feed_ends(&self) -> Result<Option<(i64, i64)>, AccountsError> {
        Ok(self.store().feed().ends().await?)
    }

    /// What happened to the service, for a platform admin.
    pub async fn system_events(
        &self,
        _permit: &roadstead_access::AdminPermit,
        filter: &SystemEventFilter,
    ) -> Result<Page<SystemEventRow>, AccountsError> {
        Ok(self.store().system_events().list(filter).await?)
    }

    /// Writes down what happened to the service; what cannot be written is only logged.
    pub async fn tell_system(
        &self,
        event_type: &'static str,
        severity: &'static str,
        name: impl Into<String>,
        context: serde_json::Value,
    ) {
        let source = event_type.split('.').next().unwrap_or(event_type);
        let at = self.now();
        let event =
            NewSystemEvent { at, event_type, name: name.into(), severity, source, context, node: None };
        if let Err(error) = self.store().system_events().append(&event).await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                event_type,
                "an event could not be written"
            );
        }
    }

    /// Signs the chains where whole months before are about to be dropped, which whoever drops them has no key for.
    async fn anchor_what_is_old(&self, now: OffsetDateTime) -> Result<(), AccountsError> {
        let policies = self.store().retention().policies().await?;
        let Some(policy) = policies.into_iter().find(|policy| policy.table == "audit_logs") else {
            return Ok(());
        };
        let cutoff = retention::cutoff(policy.days, now).to_offset(time::UtcOffset::UTC);
        // The beginning of its month: what is younger stays.
        let cutoff = cutoff.replace_time(time::Time::MIDNIGHT) - Duration::days(i64::from(cutoff.day()) - 1);
        self.store().audit().anchor_before(cutoff, now, &self.anchors()).await?;
        Ok(())
    }

    /// What is done for the log from time to time: the day's anchors, and a look whether somebody seals.
    pub async fn look_after_audit(&self, before: Lagging) -> Result<Lagging, AccountsError> {
        let now = self.now();
        let day = now.to_offset(time::UtcOffset::UTC).replace_time(time::Time::MIDNIGHT);
        self.store().audit().anchor_day(day, now, &self.anchors()).await?;
        self.anchor_what_is_old(now).await?;
        let unsealed = self.store().audit().unsealed().await?;
        let lagging = Lagging(unsealed.oldest.is_some_and(|oldest| now - oldest > LAG));
        if lagging.0 && !before.0 {
            let context = json!({ "entries": unsealed.entries });
            self.tell_system(
                "audit.lagging",
                "warning",
                "entries of the audit log wait for their link",
                context,
            )
            .await;
        }
        Ok(lagging)
    }
}
