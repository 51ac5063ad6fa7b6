//! When each instance was used last: noted by the gateway without a lock, written in batches.

use roadstead_store::StoreError;

use crate::parts::Inner;

impl Inner {
    /// Writes down which instances were used through the gateway since the last time.
    pub(crate) async fn note_uses(&self) -> Result<(), StoreError> {
        let instances = self.parts.routes.take_used();
        if instances.is_empty() {
            return Ok(());
        }
        let now = self.now();
        let uses: Vec<_> = instances.into_iter().map(|id| (id, now)).collect();
        self.store().instances().touch_many(&uses).await
    }
}
