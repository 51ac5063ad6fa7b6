//! `/usage`: what calls through instances cost.

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::state::ApiState;
use crate::{usage, usage_export};

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(usage::list)).routes(routes!(usage_export::export))
}
