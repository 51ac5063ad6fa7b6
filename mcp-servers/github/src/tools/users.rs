//! Accounts.

use rmcp::handler::server::wrapper::Parameters;
use rmcp::schemars::{self, JsonSchema};
use rmcp::{Json, tool, tool_router};
use roadstead_server_kit::{Call, Failure};
use serde::Deserialize;

use crate::server::Github;
use crate::shapes::people::{Me, User};

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct GetUser {
    /// The user's or organisation's login.
    login: String,
}

#[tool_router(router = user_tools, vis = "pub(crate)")]
impl Github {
    /// The account that the token belongs to, and what the token may do.
    #[tool(
        title = "Get my account",
        annotations(
            read_only_hint = true,
            destructive_hint = false,
            idempotent_hint = true,
            open_world_hint = true
        )
    )]
    async fn get_me(&self, call: Call) -> Result<Json<Me>, Failure> {
        let answer = self.client.get(["user"]).send(&call).await?;
        let scopes = answer.header("x-oauth-scopes").map(|scopes| {
            scopes.split(',').map(|scope| scope.trim().to_owned()).filter(|scope| !scope.is_empty()).collect()
        });
        let requests_left = answer.header("x-ratelimit-remaining").and_then(|left| left.parse().ok());
        Ok(Json(Me { user: answer.json()?, scopes, requests_left }))
    }

    /// A user or an organisation.
    #[tool(
        title = "Get a user",
        annotations(
            read_only_hint = true,
            destructive_hint = false,
            idempotent_hint = true,
            open_world_hint = true
        )
    )]
    async fn get_user(
        &self,
        Parameters(GetUser { login }): Parameters<GetUser>,
        call: Call,
    ) -> Result<Json<User>, Failure> {
        self.client.get(["users", &login]).fetch(&call).await.map(Json)
    }
}
