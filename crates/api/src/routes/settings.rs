//! `/settings` and `/ports`: how the service is set, and what it has given away.

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::state::ApiState;
use crate::{ports, settings};

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(settings::list))
        .routes(routes!(settings::set))
        .routes(routes!(settings::history))
        .routes(routes!(settings::ports))
        .routes(routes!(ports::quarantine, ports::release))
}
