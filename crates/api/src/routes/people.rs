//! `/me`, `/users`, `/organizations`, `/invitations` and `/projects`: who may call, for whom, and what they share.

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::people::{export, me, members, organizations, project_types, projects, users};
use crate::state::ApiState;

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(me::get, me::patch, me::delete))
        .routes(routes!(export::export))
        .routes(routes!(users::list, users::create))
        .routes(routes!(users::get, users::patch, users::delete))
        .routes(routes!(users::suspend))
        .routes(routes!(users::reinstate))
        .routes(routes!(organizations::list, organizations::create))
        .routes(routes!(organizations::get, organizations::patch, organizations::delete))
        .routes(routes!(organizations::suspend))
        .routes(routes!(organizations::reinstate))
        .routes(routes!(organizations::quotas))
        .routes(routes!(members::list, members::invite))
        .routes(routes!(members::patch, members::remove))
        .routes(routes!(members::leave))
        .routes(routes!(members::accept))
        .routes(routes!(projects::list, projects::create))
        .routes(routes!(projects::get, projects::patch))
        .routes(routes!(project_types::create, project_types::decide))
}
