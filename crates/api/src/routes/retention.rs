//! `/retention`: what is kept for how long.

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::retention;
use crate::state::ApiState;

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(retention::list))
        .routes(routes!(retention::set))
        .routes(routes!(retention::preview))
        .routes(routes!(retention::run))
        .routes(routes!(retention::runs))
}
