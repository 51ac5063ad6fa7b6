//! When each instance was used last: noted by the gateway without a lock, written in batches. A use moves the deadline
//! of an instance that is kept by its uses.

use roadstead_model::InstanceId;
use roadstead_store::{MovedDeadline, StoreError};
use time::OffsetDateTime;
use tokio::sync::oneshot;

use crate::live::Request;
use crate::parts::Inner;

impl Inner {
    /// Writes down which instances were used through the gateway since the last time, and moves the deadlines that
    /// uses move.
    pub(crate) async fn note_uses(&self) -> Result<(), StoreError> {
        let instances = self.parts.routes.take_used();
        if instances.is_empty() {
            return Ok(());
        }
        let now = self.now();
        let uses: Vec<_> = instances.iter().map(|id| (*id, now)).collect();
        self.store().instances().touch_many(&uses).await?;
        let kept = self.store().instances().kept(&instances).await?;
        let moved: Vec<MovedDeadline> = kept
            .iter()
            .filter_map(|one| {
                let to = one.keep.used(one.expires_at, now)?;
                Some(MovedDeadline { id: one.id, from: one.expires_at, to })
            })
            .collect();
        if moved.is_empty() {
            return Ok(());
        }
        let generations = self.store().instances().move_deadlines(&moved, now).await?;
        for (id, generation) in &generations {
            if let Some(one) = moved.iter().find(|one| one.id == *id) {
                self.tell(*id, *generation, one.to);
            }
        }
        Ok(())
    }

    /// Nobody waits for this to be acknowledged: the next use moves the deadline once more.
    fn tell(&self, id: InstanceId, generation: i64, expires_at: OffsetDateTime) {
        let Some(handle) = self.live.find(id) else { return };
        let (done, _) = oneshot::channel();
        let request = Request::SetDeadline { generation: generation.unsigned_abs(), expires_at, done };
        if handle.requests.try_send(request).is_err() {
            tracing::debug!(instance.id = %id, "an instance's owner is too busy to be told of a use");
        }
    }
}
