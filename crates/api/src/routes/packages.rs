//! `/packages`: what is installed on this machine.

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::packages;
use crate::state::ApiState;

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(packages::list)).routes(routes!(packages::clean))
}
