//! The server: a client of Figma and the tools over it.

use rmcp::handler::server::router::tool::ToolRouter;
use rmcp::model::{Implementation, ServerCapabilities, ServerConfig};
use rmcp::{ServerHandler, tool_handler};
use roadstead_server_kit::{Auth, BaseUrl, Client, Plain, StartError, environment, tools};

use crate::flags::Flags;
use crate::refusal;

/// The header of personal access tokens.
const TOKEN_HEADER: &str = "x-figma-token";

/// The server. It keeps no state of its clients.
#[derive(Debug)]
pub struct Figma {
    pub(crate) client: Client,
    tools: ToolRouter<Self>,
}

/// A server with what the command line and the environment say.
pub fn start(flags: &Flags) -> Result<Figma, StartError> {
    let base = BaseUrl::parse(&flags.api_url, Plain::LoopbackOnly)?;
    let client = Client::builder("Figma", base)
        .auth(auth()?)
        .user_agent(concat!("roadstead-figma/", env!("CARGO_PKG_VERSION")))
        .limits(flags.limits())
        .explain(refusal::explain)
        .build()?;
    let mut router = Figma::all_tools();
    if flags.read_only {
        tools::keep_read_only(&mut router);
    }
    tools::finish(&mut router);
    Ok(Figma { client, tools: router })
}

/// One of two kinds of token; with both it would be a guess which one is meant.
fn auth() -> Result<Auth, StartError> {
    let personal = environment::secret("FIGMA_TOKEN")?;
    let bearer = environment::secret("FIGMA_OAUTH_TOKEN")?;
    match (personal, bearer) {
        (Some(token), None) => Auth::header(TOKEN_HEADER, &token),
        (None, Some(token)) => Auth::bearer(&token),
        (None, None) => Err(StartError::Setting {
            name: "FIGMA_TOKEN",
            problem: "is not set, and neither is FIGMA_OAUTH_TOKEN: one of them is needed".to_owned(),
        }),
        (Some(_), Some(_)) => Err(StartError::Setting {
            name: "FIGMA_TOKEN",
            problem: "and FIGMA_OAUTH_TOKEN are both set: give only one of them".to_owned(),
        }),
    }
}

#[tool_handler(router = self.tools)]
impl ServerHandler for Figma {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
            .with_server_info(Implementation::new("roadstead-figma", env!("CARGO_PKG_VERSION")))
            .with_instructions(
                "Reads and comments on Figma files. Begin with get_file, which shows an outline of the tree; then \
                 get_nodes for details of the nodes that matter, and render_images to see them. Files are named by \
                 key or address, nodes by ids such as 1:2.",
            )
    }
}
