//! `/master-key`: the key that seals all others.

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::master_key;
use crate::state::ApiState;

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(master_key::get))
        .routes(routes!(master_key::rotate))
        .routes(routes!(master_key::retire))
}
