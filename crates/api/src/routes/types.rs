//! `/types`: kinds of servers.

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::state::ApiState;
use crate::types;

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(types::list, types::create))
        .routes(routes!(types::get, types::update))
        .routes(routes!(types::review::submit))
        .routes(routes!(types::review::approve))
        .routes(routes!(types::review::reject))
        .routes(routes!(types::review::disable))
        .routes(routes!(types::review::history))
        .routes(routes!(types::review::manifest))
        .routes(routes!(types::review::inspect))
        .routes(routes!(types::review::tool))
        .routes(routes!(types::import::import))
        .routes(routes!(types::import::upgrade))
        .routes(routes!(crate::packages::versions))
}
