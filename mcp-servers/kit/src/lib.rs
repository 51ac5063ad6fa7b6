//! What the bundled MCP servers of REST services have in common: asking the service, telling a model what went wrong,
//! and the start and end of the program. Knows no service.
//!
//! A server is a struct with a [`Client`] and a tool router. Each tool takes its [`Call`] and returns
//! `Result<Json<T>, Failure>`; [`tools::finish`] makes the router ready, [`run`] speaks MCP until the input ends.
//!
//! ```no_run
//! use rmcp::handler::server::router::tool::ToolRouter;
//! use rmcp::handler::server::wrapper::Parameters;
//! use rmcp::schemars::{self, JsonSchema};
//! use rmcp::{Json, ServerHandler, tool, tool_handler, tool_router};
//! use roadstead_server_kit::{Auth, BaseUrl, Call, Client, Failure, Plain, StartError, environment, tools};
//! use serde::{Deserialize, Serialize};
//!
//! struct Books { client: Client, tools: ToolRouter<Self> }
//!
//! #[derive(Deserialize, JsonSchema)]
//! #[serde(deny_unknown_fields)]
//! struct Which {
//!     /// The book's number.
//!     id: String,
//! }
//!
//! #[derive(Serialize, Deserialize, JsonSchema)]
//! struct Book { title: String }
//!
//! #[tool_router]
//! impl Books {
//!     /// One book.
//!     #[tool(title = "Get a book", annotations(read_only_hint = true, open_world_hint = true))]
//!     async fn get_book(
//!         &self,
//!         Parameters(which): Parameters<Which>,
//!         call: Call,
//!     ) -> Result<Json<Book>, Failure> {
//!         self.client.get(["books", &which.id]).fetch(&call).await.map(Json)
//!     }
//! }
//!
//! #[tool_handler(router = self.tools)]
//! impl ServerHandler for Books {}
//!
//! fn start() -> Result<Books, StartError> {
//!     let token = environment::secret("BOOKS_TOKEN")?.ok_or(StartError::Missing { name: "BOOKS_TOKEN" })?;
//!     let base = BaseUrl::parse("https://books.example.com/v1", Plain::LoopbackOnly)?;
//!     let client = Client::builder("Books", base).auth(Auth::bearer(&token)?).build()?;
//!     let mut tools = Books::tool_router();
//!     tools::finish(&mut tools);
//!     Ok(Books { client, tools })
//! }
//!
//! fn main() -> std::process::ExitCode {
//!     roadstead_server_kit::run("books", start())
//! }
//! ```

mod address;
mod answer;
mod auth;
mod cache;
mod call;
mod client;
pub mod environment;
mod exchange;
mod failure;
mod page;
mod patient;
mod refusal;
mod request;
mod start;
pub mod tools;

pub use address::{BaseUrl, Plain};
pub use answer::Response;
pub use auth::Auth;
pub use call::Call;
pub use client::{Client, ClientBuilder, Limits};
pub use failure::{Code, Failure};
pub use page::Page;
pub use refusal::Refusal;
pub use request::Request;
pub use start::{StartError, run};
