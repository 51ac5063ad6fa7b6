//! `/packages` and `/types/{id}/versions`, for platform admins: installed packages, and removing those that nothing needs.

use axum::Json;
use axum::extract::State;
use roadstead_model::Operation;
use roadstead_orchestrator::CleanRequest;

use crate::error::{ApiError, ErrorBody};
use crate::extract::{Authenticated, JsonBody, PathName};
use crate::state::ApiState;
use crate::wire::{All, CleanBody, CleanedPackages, Package, TypeVersion};

/// List installed packages
///
/// Platform admins only. Each with who needs it, and whether the next cleaning removes it.
#[utoipa::path(get, operation_id = "packages_list", path = "/packages", tag = "types",
    responses((status = 200, description = "Every installed package", body = All<Package>),
        (status = 401, body = ErrorBody), (status = 403, body = ErrorBody)))]
pub(crate) async fn list(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
) -> Result<Json<All<Package>>, ApiError> {
    let permit = caller.admin_permit(Operation::PackagesList)?;
    let packages = state.orchestrator().packages(&permit).await?;
    Ok(Json(All { data: packages.into_iter().map(Package::new).collect() }))
}

/// Remove packages that nothing needs
///
/// Platform admins only. Only looks unless `dry_run` is false. What a type names, what an instance was launched with and what
/// is in use this moment stays, and so does what was needed not long ago (setting `packages.keep_unused_days`) unless
/// `all_unused` is true. Done by itself every day at 02:00 UTC.
#[utoipa::path(post, operation_id = "packages_clean", path = "/packages/clean", tag = "types",
    request_body = CleanBody,
    responses((status = 200, description = "What went, or would", body = CleanedPackages),
        (status = 400, body = ErrorBody), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 413, body = ErrorBody), (status = 415, body = ErrorBody), (status = 422, body = ErrorBody)))]
pub(crate) async fn clean(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    JsonBody { mut fields, .. }: JsonBody,
) -> Result<Json<CleanedPackages>, ApiError> {
    let permit = caller.admin_permit(Operation::PackagesClean)?;
    let request = CleanRequest {
        dry_run: fields.flag("dry_run").unwrap_or(true),
        all_unused: fields.flag("all_unused").unwrap_or_default(),
    };
    fields.finish()?;
    let work = {
        let state = state.clone();
        async move { Ok(state.orchestrator().clean_packages(&permit, request).await?) }
    };
    let cleaned = state.detached(work).await?;
    Ok(Json(CleanedPackages::new(request.dry_run, cleaned)))
}

/// List the versions of a type's package
///
/// Platform admins only. Those that are installed, the newest installation first: `POST /types/{id}/upgrade` to one of them
/// takes no time. Empty for a type whose program was not installed from a package.
#[utoipa::path(get, operation_id = "types_versions", path = "/types/{id}/versions", tag = "types",
    params(("id" = String, Path, pattern = "^[A-Za-z0-9-]{1,50}$", description = "Its id or its name")),
    responses((status = 200, description = "Installed versions", body = All<TypeVersion>),
        (status = 401, body = ErrorBody), (status = 403, body = ErrorBody), (status = 404, body = ErrorBody)))]
pub(crate) async fn versions(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    PathName(named): PathName,
) -> Result<Json<All<TypeVersion>>, ApiError> {
    let permit = caller.admin_permit(Operation::TypesVersions)?;
    let versions = state.orchestrator().type_versions(&permit, &named).await?;
    Ok(Json(All { data: versions.into_iter().map(TypeVersion::new).collect() }))
}
