//! `/instances`: what runs for people.

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::state::ApiState;
use crate::{instances, logs};

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(instances::list::list, instances::launch::launch))
        .routes(routes!(instances::get::get, instances::patch::patch, instances::delete::delete))
        .routes(routes!(instances::bulk::bulk))
        .routes(routes!(instances::stop::stop))
        .routes(routes!(instances::expire::expire))
        .routes(routes!(instances::extend::extend))
        .routes(routes!(instances::restart::restart))
        .routes(routes!(instances::restore::restore))
        .routes(routes!(instances::renew::renew))
        .routes(routes!(instances::rotate_token::rotate_token))
        .routes(routes!(instances::revoke_token::revoke_token))
        .routes(routes!(instances::logs::logs))
        .routes(routes!(instances::export::export))
        .routes(routes!(logs::search))
        .routes(routes!(instances::events::events))
        .routes(routes!(instances::stats::stats))
}
