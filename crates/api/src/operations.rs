//! Which operation a request asks for, by the route that answers it: as the description of the API says, so that a route is
//! named once.

use std::collections::HashMap;
use std::sync::LazyLock;

use axum::extract::{MatchedPath, Request};
use http::Method;
use roadstead_model::Operation;

static OPERATIONS: LazyLock<HashMap<String, Vec<(Method, Operation)>>> = LazyLock::new(|| {
    let named = |(path, item): (String, utoipa::openapi::PathItem)| {
        let methods = [
            (Method::GET, item.get),
            (Method::PUT, item.put),
            (Method::POST, item.post),
            (Method::PATCH, item.patch),
            (Method::DELETE, item.delete),
        ];
        let known = methods.into_iter().filter_map(|(method, operation)| {
            let id = operation.and_then(|operation| operation.operation_id)?;
            Some((method, id.parse().ok()?))
        });
        (path, known.collect())
    };
    crate::router::collected().paths.paths.into_iter().map(named).collect()
});

/// The operation of a method at the path of a route, as the route writes it.
pub(crate) fn at(method: &Method, route: &str) -> Option<Operation> {
    let methods = OPERATIONS.get(route)?;
    methods.iter().find(|(one, _)| one == method).map(|(_, operation)| *operation)
}

/// The operation of a request that a route answers.
pub(crate) fn of(request: &Request) -> Option<Operation> {
    at(request.method(), request.extensions().get::<MatchedPath>()?.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_route_that_the_description_names_is_known() {
        assert_eq!(at(&Method::GET, "/api/v1/api-keys/{id}/usage"), Some(Operation::KeysUsage));
        assert_eq!(at(&Method::POST, "/api/v1/instances/{id}/stop"), Some(Operation::InstancesStop));
        assert_eq!(at(&Method::PATCH, "/api/v1/instances/{id}/stop"), None);
        let known: usize = OPERATIONS.values().map(Vec::len).sum();
        assert!(known > 60, "{known}");
    }
}
