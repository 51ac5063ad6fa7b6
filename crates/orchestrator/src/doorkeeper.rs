//! What the gateway tells the holder of a token when there is no way to the instance.

use roadstead_crypto::TokenHash;
use roadstead_gateway::{Absence, Doorkeeper};
use roadstead_model::{InstanceId, InstanceStatus};

use crate::parts::Orchestrator;

impl Doorkeeper for Orchestrator {
    fn judge<'a>(&'a self, instance: InstanceId, token: Option<&'a str>) -> roadstead_gateway::Verdict<'a> {
        Box::pin(async move {
            let Some(token) = token else { return Absence::Refused };
            let row = match self.0.store().instances().get(instance, None).await {
                Ok(Some(row)) => row,
                Ok(None) => return Absence::Refused,
                Err(_) => return Absence::Unknown,
            };
            if !TokenHash::from_bytes(row.token_hash).opens_with(token) {
                return Absence::Refused;
            }
            let is_restarting = || self.0.live.find(instance).is_some_and(|handle| handle.is_restarting());
            match row.standing(self.0.now()).status() {
                InstanceStatus::Pending => Absence::Starting,
                InstanceStatus::Running if is_restarting() => Absence::Starting,
                // Its route is closed, or its shim is gone: its driver is about to say how it ended.
                InstanceStatus::Running => Absence::Ending,
                ended => Absence::Ended(ended),
            }
        })
    }
}
