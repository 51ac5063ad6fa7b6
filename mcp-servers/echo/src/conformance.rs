//! What the official conformance suite asks of a server: its tools, resources, templates and prompts, in both eras.
//!
//! Names and texts are those that the suite looks for. A tool that needs something of the client is written once, as
//! turns (`turn`), and asks in the way of the era: with a request of its own to a legacy client, with an
//! `input_required` result to a modern one.
#![expect(deprecated, reason = "the suite also asks for what the newest revision advises against")]

mod ask;
mod changes;
mod completion;
mod content;
mod prompts;
mod resources;
mod schemas;
mod tasks;
mod tools;
mod turns;

use std::borrow::Cow;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use anyhow::Context;
use rmcp::model::{
    CacheScope, CallToolRequestParams, CallToolResponse, CancelTaskParams, CompleteRequestParams,
    CompleteResult, ErrorData, GetPromptRequestParams, GetPromptResponse, GetTaskParams, GetTaskResult,
    Implementation, ListPromptsResult, ListResourceTemplatesResult, ListResourcesResult, ListToolsResult,
    LoggingLevel, LoggingMessageNotificationParam, PaginatedRequestParams, ProtocolVersion,
    ReadResourceRequestParams, ReadResourceResponse, ReadResourceResult, RequestStateCodec,
    ServerCapabilities, ServerConfig, SetLevelRequestParams, SubscribeRequestParams, SubscriptionFilter,
    Tool, UnsubscribeRequestParams, UpdateTaskParams,
};
use rmcp::service::{NotificationContext, RequestContext, SubscriptionContext};
use rmcp::task_manager::TaskManager;
use rmcp::{RoleServer, ServerHandler};
use serde_json::json;

use self::changes::Changes;
use crate::era::Era;

/// How long clients may keep lists and resources, for the suite's checks of caching hints.
const CACHE_TTL_MS: u64 = 60_000;

type Asked = RequestContext<RoleServer>;

/// The handler of one session, or of one stateless request.
#[derive(Debug)]
pub struct Conformance {
    era: Era,
    session: u64,
    log_level: Mutex<LoggingLevel>,
    shared: Arc<Shared>,
}

/// What all sessions of a process have in common.
pub struct Shared {
    tasks: TaskManager,
    /// Seals `requestState`, with a key that lives as long as the process.
    seal: RequestStateCodec,
    changes: Changes,
    sessions: AtomicU64,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("seal", &self.seal).finish_non_exhaustive()
    }
}

impl Shared {
    /// A process's own.
    ///
    /// # Errors
    /// When there is no randomness for a key.
    pub fn new() -> anyhow::Result<Self> {
        let mut key = vec![0; RequestStateCodec::MIN_KEY_LENGTH];
        rand::TryRng::try_fill_bytes(&mut rand::rngs::SysRng, &mut key).context("no randomness for a key")?;
        Ok(Self {
            tasks: TaskManager::new(),
            seal: RequestStateCodec::try_new(key).context("a key was refused")?,
            changes: Changes::default(),
            sessions: AtomicU64::new(0),
        })
    }
}

impl Conformance {
    /// A handler for one more session.
    pub fn new(era: Era, shared: Arc<Shared>) -> Self {
        let session = shared.sessions.fetch_add(1, Ordering::Relaxed);
        Self { era, session, log_level: Mutex::new(LoggingLevel::Debug), shared }
    }

    /// Sends a log message if the client wants it: of this level in the session (legacy), or with this request.
    async fn log(&self, asked: &Asked, level: LoggingLevel, text: &str) {
        let least = if is_modern(asked) {
            asked.meta.log_level()
        } else {
            Some(*self.log_level.lock().expect("no holder panics"))
        };
        if least.is_some_and(|least| level as u8 >= least as u8) {
            let message = LoggingMessageNotificationParam::new(level, json!(text)).with_logger("conformance");
            // A client that no longer listens does not change what the tool does.
            let _ = asked.peer.notify_logging_message(message).await;
        }
    }
}

/// Whether a request is of the stateless revision.
fn is_modern(asked: &Asked) -> bool {
    asked.protocol_version().is_some_and(|version| !version.has_initialize())
}

impl ServerHandler for Conformance {
    fn get_info(&self) -> ServerConfig {
        let capabilities = ServerCapabilities::builder()
            .enable_completions()
            .enable_logging()
            .enable_prompts()
            .enable_prompts_list_changed()
            .enable_resources()
            .enable_resources_list_changed()
            .enable_resources_subscribe()
            .enable_tools()
            .enable_tool_list_changed();
        let capabilities =
            if self.era == Era::Legacy { capabilities.build() } else { capabilities.enable_tasks().build() };
        ServerConfig::new(capabilities)
            .with_server_info(Implementation::new("roadstead-echo", env!("CARGO_PKG_VERSION")))
            .with_instructions("Has what the official conformance suite asks for.")
    }

    fn supported_protocol_versions(&self) -> Cow<'static, [ProtocolVersion]> {
        self.era.versions()
    }

    async fn on_initialized(&self, context: NotificationContext<RoleServer>) {
        self.shared.changes.begin_session(self.session, context.peer);
    }

    async fn set_level(&self, request: SetLevelRequestParams, _asked: Asked) -> Result<(), ErrorData> {
        *self.log_level.lock().expect("no holder panics") = request.level;
        Ok(())
    }

    async fn complete(
        &self,
        request: CompleteRequestParams,
        _asked: Asked,
    ) -> Result<CompleteResult, ErrorData> {
        completion::of(&request)
    }

    fn accepted_subscription_filter(&self, requested: &SubscriptionFilter) -> Option<SubscriptionFilter> {
        Some(requested.clone())
    }

    async fn listen(&self, context: SubscriptionContext) -> Result<(), ErrorData> {
        let _listening = self.shared.changes.listen(context.sink().clone());
        context.cancelled().await;
        Ok(())
    }

    async fn subscribe(&self, request: SubscribeRequestParams, asked: Asked) -> Result<(), ErrorData> {
        self.shared.changes.watch(self.session, asked.peer, request.uri);
        Ok(())
    }

    async fn unsubscribe(&self, request: UnsubscribeRequestParams, _asked: Asked) -> Result<(), ErrorData> {
        self.shared.changes.unwatch(self.session, &request.uri);
        Ok(())
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        tools::all().into_iter().find(|tool| tool.name == name)
    }

    async fn list_tools(
        &self,
        _request: Option<PaginatedRequestParams>,
        asked: Asked,
    ) -> Result<ListToolsResult, ErrorData> {
        let listed = ListToolsResult::with_all_items(tools::all());
        Ok(if is_modern(&asked) {
            listed.with_ttl_ms(CACHE_TTL_MS).with_cache_scope(CacheScope::Public)
        } else {
            listed
        })
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        asked: Asked,
    ) -> Result<CallToolResponse, ErrorData> {
        self.call(request, &asked).await
    }

    async fn list_resources(
        &self,
        _request: Option<PaginatedRequestParams>,
        asked: Asked,
    ) -> Result<ListResourcesResult, ErrorData> {
        let listed = ListResourcesResult::with_all_items(resources::all());
        Ok(if is_modern(&asked) {
            listed.with_ttl_ms(CACHE_TTL_MS).with_cache_scope(CacheScope::Public)
        } else {
            listed
        })
    }

    async fn list_resource_templates(
        &self,
        _request: Option<PaginatedRequestParams>,
        asked: Asked,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        let listed = ListResourceTemplatesResult::with_all_items(resources::templates());
        Ok(if is_modern(&asked) {
            listed.with_ttl_ms(CACHE_TTL_MS).with_cache_scope(CacheScope::Public)
        } else {
            listed
        })
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        asked: Asked,
    ) -> Result<ReadResourceResponse, ErrorData> {
        let read = ReadResourceResult::new(vec![resources::read(&request.uri)?]);
        Ok(if is_modern(&asked) {
            read.with_ttl_ms(CACHE_TTL_MS).with_cache_scope(CacheScope::Private).into()
        } else {
            read.into()
        })
    }

    async fn list_prompts(
        &self,
        _request: Option<PaginatedRequestParams>,
        asked: Asked,
    ) -> Result<ListPromptsResult, ErrorData> {
        let listed = ListPromptsResult::with_all_items(prompts::all());
        Ok(if is_modern(&asked) {
            listed.with_ttl_ms(CACHE_TTL_MS).with_cache_scope(CacheScope::Public)
        } else {
            listed
        })
    }

    async fn get_prompt(
        &self,
        request: GetPromptRequestParams,
        asked: Asked,
    ) -> Result<GetPromptResponse, ErrorData> {
        prompts::get(request, &asked).await
    }

    async fn get_task(&self, request: GetTaskParams, _asked: Asked) -> Result<GetTaskResult, ErrorData> {
        Ok(GetTaskResult::new(self.shared.tasks.get_task(&request.task_id)?))
    }

    async fn update_task(&self, request: UpdateTaskParams, _asked: Asked) -> Result<(), ErrorData> {
        self.shared.tasks.update_task(&request.task_id, request.input_responses)
    }

    async fn cancel_task(&self, request: CancelTaskParams, _asked: Asked) -> Result<(), ErrorData> {
        self.shared.tasks.cancel_task(&request.task_id)
    }
}
