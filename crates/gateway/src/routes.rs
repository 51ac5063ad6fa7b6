//! Which instance is reached through which socket. A route exists exactly as long as its lease.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use roadstead_model::InstanceId;

/// The routes of all instances that are running.
#[derive(Debug, Clone, Default)]
pub struct Routes(Arc<RwLock<HashMap<InstanceId, Arc<PathBuf>>>>);

impl Routes {
    /// Opens the way to an instance's socket, until the lease is dropped.
    pub fn open(&self, instance: InstanceId, socket: PathBuf) -> RouteLease {
        let socket = Arc::new(socket);
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(instance, Arc::clone(&socket));
        RouteLease { routes: self.clone(), instance, socket }
    }

    /// The socket of an instance, if there is a way to it.
    pub fn find(&self, instance: InstanceId) -> Option<Arc<PathBuf>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(&instance).cloned()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.read().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The way to one instance.
#[derive(Debug)]
#[must_use = "the route is closed as soon as the lease is dropped"]
pub struct RouteLease {
    routes: Routes,
    instance: InstanceId,
    socket: Arc<PathBuf>,
}

impl Drop for RouteLease {
    fn drop(&mut self) {
        let mut routes = self.routes.0.write().unwrap_or_else(PoisonError::into_inner);
        // A newer lease of the same instance stays.
        if routes.get(&self.instance).is_some_and(|socket| Arc::ptr_eq(socket, &self.socket)) {
            routes.remove(&self.instance);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instance() -> InstanceId {
        "01980000-0000-7000-8000-000000000001".parse().unwrap()
    }

    #[test]
    fn a_dropped_lease_closes_the_route() {
        let routes = Routes::default();
        let lease = routes.open(instance(), "/a".into());
        assert!(routes.find(instance()).is_some());
        drop(lease);
        assert!(routes.is_empty());
    }

    #[test]
    fn an_old_lease_does_not_close_a_newer_route() {
        let routes = Routes::default();
        let old = routes.open(instance(), "/a".into());
        let _new = routes.open(instance(), "/b".into());
        drop(old);
        assert_eq!(routes.find(instance()).unwrap().as_path(), std::path::Path::new("/b"));
    }
}
