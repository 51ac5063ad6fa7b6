//! The server: its client, and the tools that were asked for.

use rmcp::handler::server::router::tool::ToolRouter;
use rmcp::model::{Implementation, ServerCapabilities, ServerConfig};
use rmcp::{ServerHandler, tool_handler};
use roadstead_server_kit::{Client, tools};

use crate::tools::Toolset;

const INSTRUCTIONS: &str = "\
Works with GitHub over its REST API. A repository is named by `owner` and `repo`. Lists come in pages: ask again with \
`page` set to the `next_page` of the answer. Search results are ranked; to look through everything of a repository, use \
the lists. Read a file with `get_file` before changing it: `write_file` and `delete_file` need its `sha`. To change \
several files in one commit, use `push_files`.";

/// The server of one token.
#[derive(Debug)]
pub(crate) struct Github {
    pub(crate) client: Client,
    tools: ToolRouter<Self>,
}

impl Github {
    /// A server with the tools of some groups, or those of them that change nothing.
    pub(crate) fn new(client: Client, toolsets: &[Toolset], is_read_only: bool) -> Self {
        let mut router = ToolRouter::new();
        for toolset in toolsets {
            toolset.add_to(&mut router);
        }
        if is_read_only {
            tools::keep_read_only(&mut router);
        }
        tools::finish(&mut router);
        Self { client, tools: router }
    }
}

#[tool_handler(router = self.tools)]
impl ServerHandler for Github {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
            .with_server_info(
                Implementation::new("roadstead-github", env!("CARGO_PKG_VERSION")).with_title("GitHub"),
            )
            .with_instructions(INSTRUCTIONS)
    }
}
