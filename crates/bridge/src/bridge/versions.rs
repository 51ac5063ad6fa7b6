//! Which modern revisions the server behind the bridge speaks.

use std::rc::Rc;

use super::Inner;
use super::modern::NoModern;
use super::ready::{Discovery, discover};
use crate::version;

impl Inner {
    /// Whether modern clients talk to a server that speaks their revision itself. No other one knows annotations of headers, and
    /// asking it for its tools would only cost it time.
    pub(crate) fn is_natively_modern(&self) -> bool {
        self.eras.modern() != Some(false)
    }

    /// Whether a stateless request of this version may be passed on. Until the server has named its versions that is the first
    /// such revision.
    pub(crate) fn knows_version(&self, version: &str) -> bool {
        let supported = self.supported.borrow();
        match supported.as_deref() {
            None => version == version::MODERN,
            Some(list) => version::is_modern(version) && list.contains(&format!("\"{version}\"")),
        }
    }

    /// Lets the server name its versions, if it has not yet. One that does not answer is taken to speak the first stateless
    /// revision.
    pub(crate) async fn learn_versions(self: &Rc<Self>) -> Result<(), NoModern> {
        if self.supported.borrow().is_some() {
            return Ok(());
        }
        let server = self.modern_server().await?;
        if self.supported.borrow().is_some() {
            // It was asked when it was opened.
            return Ok(());
        }
        let patience = self.shared.config.discover_timeout;
        if let Discovery::Modern(versions) = discover(&server, patience).await {
            *self.supported.borrow_mut() = versions;
        }
        Ok(())
    }
}
