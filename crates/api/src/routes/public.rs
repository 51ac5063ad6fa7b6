//! What lies beside `/api/v1`: health and metrics, for whoever watches the service, and the registry, whose paths are not ours
//! to choose.

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::state::ApiState;
use crate::{health, metrics, registry};

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(health::healthz))
        .routes(routes!(health::readyz))
        .routes(routes!(metrics::metrics))
        .routes(routes!(registry::list))
        .routes(routes!(registry::versions))
        .routes(routes!(registry::get))
}
