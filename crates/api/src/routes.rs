//! Every path of the API, a list for each noun.

mod audit;
mod credentials;
mod events;
mod exports;
mod instances;
mod keys;
mod master_key;
mod packages;
mod people;
mod public;
mod retention;
mod settings;
mod types;
mod usage;

use utoipa_axum::router::OpenApiRouter;

use crate::state::ApiState;

/// Everything below `/api/v1`.
pub(crate) fn api() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .merge(instances::routes())
        .merge(types::routes())
        .merge(packages::routes())
        .merge(credentials::routes())
        .merge(people::routes())
        .merge(keys::routes())
        .merge(settings::routes())
        .merge(audit::routes())
        .merge(events::routes())
        .merge(exports::routes())
        .merge(master_key::routes())
        .merge(retention::routes())
        .merge(usage::routes())
}

/// What lies beside it.
pub(crate) fn public() -> OpenApiRouter<ApiState> {
    public::routes()
}
