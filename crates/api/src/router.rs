//! Every path of the API, and the description that is generated from the same list.

use axum::extract::DefaultBodyLimit;
use axum::{Router, middleware};
use roadstead_model::limits::MAX_API_BODY_BYTES;
use tower_http::catch_panic::CatchPanicLayer;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::{Modify, OpenApi};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use utoipa_swagger_ui::SwaggerUi;

use crate::browser::{self, Browsers};
use crate::error::{ApiError, Code};
use crate::state::ApiState;
use crate::{
    credentials, health, instances, keys, master_key, metrics, request_id, settings, types, usage, users,
};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Roadstead",
        description = "Launches MCP servers for people: each instance is a confined process of its own, with an \
            access URL and a token, until its deadline.",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0")
    ),
    modifiers(&BearerKey),
    security(("api_key" = [])),
    components(schemas(crate::error::ErrorBody))
)]
struct Description;

/// Adds the security scheme: an API key as a bearer token.
struct BearerKey;

impl Modify for BearerKey {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let components = openapi.components.get_or_insert_default();
        let mut scheme = Http::new(HttpAuthScheme::Bearer);
        scheme.description = Some("An API key: `rs_…`".to_owned());
        components.add_security_scheme("api_key", SecurityScheme::Http(scheme));
    }
}

/// The description of the API, as served at `/openapi.json`.
pub fn openapi() -> utoipa::openapi::OpenApi {
    described().into_openapi()
}

/// The API, its description and its page, and the health answers.
pub fn router(state: ApiState, browsers: Browsers) -> Router {
    let (api, description) = described().split_for_parts();
    let docs: Router<ApiState> = SwaggerUi::new("/docs").url("/openapi.json", description).into();
    api.merge(docs)
        .fallback(no_such_path)
        .layer(DefaultBodyLimit::max(MAX_API_BODY_BYTES))
        .layer(CatchPanicLayer::new())
        .layer(middleware::from_fn_with_state(browsers, browser::guard))
        .layer(middleware::from_fn_with_state(state.clone(), request_id::middleware))
        .with_state(state)
}

/// The access URLs behind the same guard against other people's pages, which answers with errors of the same shape.
pub fn shield(access: Router, state: ApiState, browsers: Browsers) -> Router {
    access
        .layer(middleware::from_fn_with_state(browsers, browser::guard_access))
        .layer(middleware::from_fn_with_state(state, request_id::refusals))
}

fn described() -> OpenApiRouter<ApiState> {
    let base = OpenApiRouter::new()
        .routes(routes!(instances::list::list, instances::launch::launch))
        .routes(routes!(instances::get::get, instances::delete::delete))
        .routes(routes!(instances::stop::stop))
        .routes(routes!(instances::expire::expire))
        .routes(routes!(instances::extend::extend))
        .routes(routes!(instances::restart::restart))
        .routes(routes!(instances::restore::restore))
        .routes(routes!(instances::renew::renew))
        .routes(routes!(instances::rotate_token::rotate_token))
        .routes(routes!(instances::revoke_token::revoke_token))
        .routes(routes!(instances::logs::logs))
        .routes(routes!(instances::events::events))
        .routes(routes!(instances::stats::stats))
        .routes(routes!(usage::list))
        .routes(routes!(types::list, types::create))
        .routes(routes!(types::get, types::update))
        .routes(routes!(types::disable))
        .routes(routes!(credentials::list::list, credentials::create::create))
        .routes(routes!(credentials::show::show, credentials::replace::replace, credentials::delete::delete))
        .routes(routes!(credentials::usage::usage))
        .routes(routes!(credentials::validate::validate))
        .routes(routes!(users::list, users::create))
        .routes(routes!(users::me))
        .routes(routes!(keys::list, keys::create))
        .routes(routes!(keys::revoke))
        .routes(routes!(master_key::get))
        .routes(routes!(master_key::rotate))
        .routes(routes!(master_key::retire))
        .routes(routes!(settings::list))
        .routes(routes!(settings::set))
        .routes(routes!(settings::ports));
    OpenApiRouter::with_openapi(Description::openapi())
        .nest("/api/v1", base)
        .routes(routes!(health::healthz))
        .routes(routes!(health::readyz))
        .routes(routes!(metrics::metrics))
}

async fn no_such_path() -> ApiError {
    ApiError::new(Code::NotFound, "there is no such path; /docs lists all")
}
