//! `/api-keys`: what callers show.

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::keys;
use crate::state::ApiState;

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(keys::list, keys::create))
        .routes(routes!(keys::get, keys::patch, keys::revoke))
        .routes(routes!(keys::rotate))
        .routes(routes!(keys::usage))
}
