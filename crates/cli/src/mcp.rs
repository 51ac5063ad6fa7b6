//! An instance as any MCP client sees it: through its URL, with its token, by the official library.

use std::time::Duration;

use rmcp::model::{CallToolRequestParams, ClientConfig, Implementation};
use rmcp::service::{RoleClient, RunningService, ServiceError};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use rmcp::{ServiceExt, service::ClientInitializeError};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value};

use crate::exit::Exit;
use crate::http;

/// How long the greeting of an instance may take.
const GREETING_TIMEOUT: Duration = Duration::from_secs(30);

/// Why an instance could not be used.
#[derive(Debug, thiserror::Error)]
pub enum McpError {
    /// Not a URL.
    #[error("{url:?} is not the URL of an MCP server")]
    BadUrl {
        /// What was given.
        url: String,
    },
    /// The client could not be made.
    #[error("could not make an HTTP client")]
    Client(#[source] reqwest::Error),
    /// It did not greet back.
    #[error("could not begin an MCP session at {url}")]
    Greeting {
        /// The instance's URL.
        url: String,
        /// Why.
        #[source]
        source: Box<ClientInitializeError>,
    },
    /// It said nothing in time.
    #[error("no MCP server answered at {url} within {} seconds", GREETING_TIMEOUT.as_secs())]
    Silent {
        /// The instance's URL.
        url: String,
    },
    /// A request failed.
    #[error("{what} failed")]
    Request {
        /// What was asked.
        what: String,
        /// Why.
        #[source]
        source: Box<ServiceError>,
    },
    /// An answer could not be shown.
    #[error("the answer to {what} could not be read")]
    Answer {
        /// What was asked.
        what: String,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
}

impl McpError {
    /// The exit that fits.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Greeting { source, .. } if source.auth_challenge().is_some() => Exit::Permission,
            Self::Greeting { .. } | Self::Silent { .. } => Exit::Unavailable,
            Self::BadUrl { .. } => Exit::Usage,
            Self::Client(_) | Self::Request { .. } | Self::Answer { .. } => Exit::Failed,
        }
    }

    /// What to do next, where that is known.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Greeting { .. } => Some(
                "check the token (`roadstead rotate-token ID` makes another) and `roadstead show ID`"
                    .to_owned(),
            ),
            Self::Silent { .. } => Some("`roadstead logs ID` shows what the server said".to_owned()),
            _ => None,
        }
    }
}

/// A session with one instance.
pub(crate) struct McpClient {
    service: RunningService<RoleClient, ClientConfig>,
}

impl McpClient {
    /// Greets the server behind a URL.
    pub(crate) async fn connect(url: &str, token: &SecretString) -> Result<Self, McpError> {
        let bad = |_| McpError::BadUrl { url: url.to_owned() };
        let client = http::client(&reqwest::Url::parse(url).map_err(bad)?).map_err(McpError::Client)?;
        let config = StreamableHttpClientTransportConfig::with_uri(url).auth_header(token.expose_secret());
        let transport = StreamableHttpClientTransport::with_client(client, config);
        let mut info = ClientConfig::default();
        info.client_info = Implementation::new("roadstead", env!("CARGO_PKG_VERSION"));
        let greeting = tokio::time::timeout(GREETING_TIMEOUT, info.serve(transport)).await;
        let service = greeting
            .map_err(|_| McpError::Silent { url: url.to_owned() })?
            .map_err(|source| McpError::Greeting { url: url.to_owned(), source: Box::new(source) })?;
        Ok(Self { service })
    }

    /// Every tool, as the server describes it.
    pub(crate) async fn tools(&self) -> Result<Vec<Value>, McpError> {
        let what = "listing the tools";
        let tools = self.service.list_all_tools().await.map_err(|source| failed(what, source))?;
        tools.into_iter().map(|tool| json(what, &tool)).collect()
    }

    /// Calls a tool; the result as the server gave it.
    pub(crate) async fn call(&self, tool: &str, arguments: Map<String, Value>) -> Result<Value, McpError> {
        let what = format!("calling {tool}");
        let request = CallToolRequestParams::new(tool.to_owned()).with_arguments(arguments);
        let result = self.service.call_tool(request).await.map_err(|source| failed(&what, source))?;
        json(&what, &result)
    }

    /// Ends the session.
    pub(crate) async fn close(self) {
        // The session ends on the server's side as well when nobody uses it.
        let _ = self.service.cancel().await;
    }
}

fn failed(what: &str, source: ServiceError) -> McpError {
    McpError::Request { what: what.to_owned(), source: Box::new(source) }
}

fn json(what: &str, value: &impl serde::Serialize) -> Result<Value, McpError> {
    serde_json::to_value(value).map_err(|source| McpError::Answer { what: what.to_owned(), source })
}
