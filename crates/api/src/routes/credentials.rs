//! `/credentials`: secret values by name.

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::credentials;
use crate::state::ApiState;

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(credentials::list::list, credentials::create::create))
        .routes(routes!(credentials::show::show, credentials::replace::replace, credentials::delete::delete))
        .routes(routes!(credentials::usage::usage))
        .routes(routes!(credentials::validate::validate))
}
