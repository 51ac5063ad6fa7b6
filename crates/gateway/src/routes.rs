//! Which instance is reached through which socket. A route exists exactly as long as its lease.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use roadstead_model::InstanceId;

/// The routes of all instances that are running.
#[derive(Debug, Clone, Default)]
pub struct Routes(Arc<Table>);

#[derive(Debug, Default)]
struct Table {
    routes: RwLock<HashMap<InstanceId, Arc<Route>>>,
    /// Those who held the leases have left, and the shims have not.
    kept: AtomicBool,
}

/// The way to one instance.
#[derive(Debug)]
pub(crate) struct Route {
    pub(crate) socket: PathBuf,
    /// Somebody went this way since it was last asked.
    used: AtomicBool,
}

impl Routes {
    /// Opens the way to an instance's socket, until the lease is dropped.
    pub fn open(&self, instance: InstanceId, socket: PathBuf) -> RouteLease {
        let route = Arc::new(Route { socket, used: AtomicBool::new(false) });
        let mut routes = self.0.routes.write().unwrap_or_else(PoisonError::into_inner);
        routes.insert(instance, Arc::clone(&route));
        drop(routes);
        RouteLease { routes: self.clone(), instance, route }
    }

    /// The way to an instance, if there is one.
    pub(crate) fn find(&self, instance: InstanceId) -> Option<Arc<Route>> {
        self.0.routes.read().unwrap_or_else(PoisonError::into_inner).get(&instance).cloned()
    }

    /// The instances that were used since this was last asked.
    pub fn take_used(&self) -> Vec<InstanceId> {
        let routes = self.0.routes.read().unwrap_or_else(PoisonError::into_inner);
        let used = routes.iter().filter(|(_, route)| route.used.swap(false, Ordering::Relaxed));
        used.map(|(instance, _)| *instance).collect()
    }

    /// From now on a dropped lease closes no route: requests that are under way still find their shims.
    pub fn keep(&self) {
        self.0.kept.store(true, Ordering::Relaxed);
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.routes.read().unwrap_or_else(PoisonError::into_inner).len()
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
    route: Arc<Route>,
}

impl Route {
    /// Notes that somebody goes this way.
    pub(crate) fn note_use(&self) {
        self.used.store(true, Ordering::Relaxed);
    }
}

impl Drop for RouteLease {
    fn drop(&mut self) {
        if self.routes.0.kept.load(Ordering::Relaxed) {
            return;
        }
        let mut routes = self.routes.0.routes.write().unwrap_or_else(PoisonError::into_inner);
        // A newer lease of the same instance stays.
        if routes.get(&self.instance).is_some_and(|route| Arc::ptr_eq(route, &self.route)) {
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
    fn a_use_is_told_once() {
        let routes = Routes::default();
        let _lease = routes.open(instance(), "/a".into());
        assert!(routes.take_used().is_empty());
        routes.find(instance()).unwrap().note_use();
        assert_eq!(routes.take_used(), [instance()]);
        assert!(routes.take_used().is_empty());
    }

    #[test]
    fn an_old_lease_does_not_close_a_newer_route() {
        let routes = Routes::default();
        let old = routes.open(instance(), "/a".into());
        let _new = routes.open(instance(), "/b".into());
        drop(old);
        assert_eq!(routes.find(instance()).unwrap().socket, std::path::Path::new("/b"));
    }

    #[test]
    fn routes_that_are_kept_outlive_their_leases() {
        let routes = Routes::default();
        let lease = routes.open(instance(), "/a".into());
        routes.keep();
        drop(lease);
        assert!(routes.find(instance()).is_some());
    }
}
