//! `/users` and `/me`: who may call, and for whom.

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::state::ApiState;
use crate::users;

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(users::list, users::create)).routes(routes!(users::me))
}
