//! `/exports`: what was asked for as a file.

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::exports;
use crate::state::ApiState;

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(exports::download))
}
