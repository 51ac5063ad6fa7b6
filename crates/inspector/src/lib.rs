//! Asks an MCP server what it offers, as any client would, by the official library: its tools, resources and prompts. Knows neither
//! types nor instances.
//!
//! What it hears is a stranger's word: lists, pages, bytes and time have limits.

use std::sync::Once;
use std::time::Duration;

use reqwest::Client;
use rmcp::ServiceExt as _;
use rmcp::model::{ClientConfig, Implementation, PaginatedRequestParams};
use rmcp::service::{ClientInitializeError, RoleClient, RunningService, ServiceError};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

/// How long the whole conversation may take.
const MAX_CONVERSATION: Duration = Duration::from_secs(30);
/// Items of one list.
const MAX_ITEMS: usize = 2_000;
/// Pages of one list: a server that always has another would never end.
const MAX_PAGES: usize = 200;
/// JSON of everything together, in bytes.
const MAX_BYTES: usize = 4 * 1024 * 1024;

/// What a server said that it offers; lists are as it gave them.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Listed {
    /// Its name and version; null where it gave none.
    pub server: Value,
    /// What it tells models about itself.
    pub instructions: Option<String>,
    /// The revision of the protocol that was agreed upon.
    pub protocol_version: String,
    /// Its tools.
    pub tools: Vec<Value>,
    /// Its resources.
    pub resources: Vec<Value>,
    /// Its templates of resources.
    pub resource_templates: Vec<Value>,
    /// Its prompts.
    pub prompts: Vec<Value>,
}

/// Why a server was not heard to the end.
#[derive(Debug, thiserror::Error)]
pub enum InspectError {
    /// No client could be made.
    #[error("no HTTP client could be made")]
    Client(#[source] reqwest::Error),
    /// It did not greet back.
    #[error("it does not answer the greeting of an MCP client")]
    Greeting(#[source] Box<ClientInitializeError>),
    /// A list was asked for in vain.
    #[error("it does not give its list of {what}")]
    List {
        /// Of what.
        what: &'static str,
        /// Why.
        #[source]
        source: Box<ServiceError>,
    },
    /// More than anybody would look at.
    #[error("its list of {what} is too long: at most {MAX_ITEMS} entries on {MAX_PAGES} pages, and {} MiB in all", MAX_BYTES / 1024 / 1024)]
    TooMuch {
        /// Of what.
        what: &'static str,
    },
    /// Too slow.
    #[error("it did not give its lists within {} seconds", MAX_CONVERSATION.as_secs())]
    Slow,
    /// A list that is no JSON.
    #[error("its list of {what} cannot be kept")]
    Unreadable {
        /// Of what.
        what: &'static str,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
}

/// Asks the server at an address on this machine, with its token, what it offers.
///
/// # Errors
/// It does not answer, or offers more than the limits.
pub async fn ask(url: &str, token: &SecretString) -> Result<Listed, InspectError> {
    match tokio::time::timeout(MAX_CONVERSATION, conversation(url, token)).await {
        Ok(heard) => heard,
        Err(_) => Err(InspectError::Slow),
    }
}

async fn conversation(url: &str, token: &SecretString) -> Result<Listed, InspectError> {
    // Somebody else's choice of a provider is as good as ours, and no TLS is spoken here.
    static PROVIDER: Once = Once::new();
    PROVIDER.call_once(|| {
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
    // It is on this machine: no proxy, no redirect, no certificate.
    let client = Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .tls_certs_only([])
        .build()
        .map_err(InspectError::Client)?;
    let config = StreamableHttpClientTransportConfig::with_uri(url).auth_header(token.expose_secret());
    let transport = StreamableHttpClientTransport::with_client(client, config);
    let mut info = ClientConfig::default();
    info.client_info = Implementation::new("roadstead", env!("CARGO_PKG_VERSION"));
    let service = info.serve(transport).await.map_err(|source| InspectError::Greeting(Box::new(source)))?;
    let heard = lists(&service).await;
    // The session ends on the server's side as well when nobody uses it.
    let _ = service.cancel().await;
    heard
}

/// A list of which pages are taken until there is no other.
struct Taken {
    what: &'static str,
    items: Vec<Value>,
    pages: usize,
}

/// Takes one list to its end.
macro_rules! whole {
    ($service:ident, $room:ident, $what:literal, $list:ident, $items:ident) => {{
        let mut taken = Taken { what: $what, items: Vec::new(), pages: 0 };
        let mut cursor = None;
        loop {
            let params = PaginatedRequestParams::default().with_cursor(cursor);
            let page = $service
                .$list(Some(params))
                .await
                .map_err(|source| InspectError::List { what: $what, source: Box::new(source) })?;
            taken.page(&page.$items, &mut $room)?;
            cursor = page.next_cursor;
            if cursor.is_none() {
                break taken.items;
            }
        }
    }};
}

async fn lists(service: &RunningService<RoleClient, ClientConfig>) -> Result<Listed, InspectError> {
    let Some(peer) = service.peer_info() else { return Ok(Listed::default()) };
    let mut room = MAX_BYTES;
    let mut listed = Listed {
        server: peer
            .server_info
            .as_ref()
            .and_then(|info| serde_json::to_value(info).ok())
            .unwrap_or_default(),
        instructions: peer.instructions.clone(),
        protocol_version: peer.protocol_version.to_string(),
        ..Listed::default()
    };
    if peer.capabilities.tools.is_some() {
        listed.tools = whole!(service, room, "tools", list_tools, tools);
    }
    if peer.capabilities.resources.is_some() {
        listed.resources = whole!(service, room, "resources", list_resources, resources);
        listed.resource_templates =
            whole!(service, room, "resource templates", list_resource_templates, resource_templates);
    }
    if peer.capabilities.prompts.is_some() {
        listed.prompts = whole!(service, room, "prompts", list_prompts, prompts);
    }
    Ok(listed)
}

impl Taken {
    fn page(&mut self, items: &[impl serde::Serialize], room: &mut usize) -> Result<(), InspectError> {
        self.pages += 1;
        let too_much = InspectError::TooMuch { what: self.what };
        if self.pages > MAX_PAGES || self.items.len() + items.len() > MAX_ITEMS {
            return Err(too_much);
        }
        for item in items {
            let unreadable = |source| InspectError::Unreadable { what: self.what, source };
            let item = serde_json::to_value(item).map_err(unreadable)?;
            let Some(left) = room.checked_sub(item.to_string().len()) else { return Err(too_much) };
            *room = left;
            self.items.push(item);
        }
        Ok(())
    }
}
