//! Who the token is of.

use rmcp::{Json, tool, tool_router};
use roadstead_server_kit::{Call, Failure};

use super::User;
use crate::server::Figma;

#[tool_router(router = people_tools, vis = "pub(crate)")]
impl Figma {
    /// The account that the token is of: whose eyes this server sees with.
    #[tool(title = "Get my account", annotations(read_only_hint = true, open_world_hint = true))]
    async fn get_me(&self, call: Call) -> Result<Json<User>, Failure> {
        self.client.get(["v1", "me"]).fetch(&call).await.map(Json)
    }
}
