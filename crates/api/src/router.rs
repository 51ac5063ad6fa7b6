//! The API as one router, and the description that is generated from the same list of paths.

use axum::extract::DefaultBodyLimit;
use axum::{Router, middleware};
use roadstead_model::limits::MAX_API_BODY_BYTES;
use tower_http::catch_panic::CatchPanicLayer;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_swagger_ui::SwaggerUi;

use crate::browser::{self, Browsers};
use crate::error::{ApiError, Code};
use crate::state::ApiState;
use crate::{audit_layer, describe, key_uses, limit_layer, request_id, routes};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Roadstead",
        description = "Launches MCP servers for people: each instance is a confined process of its own, with an \
            access URL and a token, until its deadline.",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0")
    ),
    security(("api_key" = [])),
    components(schemas(crate::error::ErrorBody))
)]
struct Description;

/// The description of the API, as served at `/openapi.json`.
pub fn openapi() -> serde_json::Value {
    describe::completed(&collected())
}

/// What the routes say of themselves.
pub(crate) fn collected() -> utoipa::openapi::OpenApi {
    described().into_openapi()
}

/// The API, its description and its page, and the health answers.
pub fn router(state: ApiState, browsers: Browsers) -> Router {
    let (api, collected) = described().split_for_parts();
    let description = describe::completed(&collected);
    let docs: Router<ApiState> =
        SwaggerUi::new("/docs").external_url_unchecked("/openapi.json", description).into();
    api.merge(docs)
        .fallback(no_such_path)
        .layer(DefaultBodyLimit::max(MAX_API_BODY_BYTES))
        .layer(CatchPanicLayer::new())
        .layer(middleware::from_fn_with_state(state.clone(), limit_layer::count))
        .layer(middleware::from_fn_with_state(state.clone(), key_uses::count))
        .layer(middleware::from_fn_with_state(browsers, browser::guard))
        .layer(middleware::from_fn_with_state(state.clone(), audit_layer::middleware))
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
    OpenApiRouter::with_openapi(Description::openapi()).nest("/api/v1", routes::api()).merge(routes::public())
}

async fn no_such_path() -> ApiError {
    ApiError::new(Code::NotFound, "there is no such path; /docs lists all")
}
