//! What the servers of a type offer, found out by one that lives for nothing else: launched as any instance is, confined and with
//! its owner's credential, asked as any client asks, and ended.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use roadstead_access::{AdminPermit, LaunchPermit};
use roadstead_accounts::types::Offered;
use roadstead_accounts::{AccountsError, ExposeSecret, SecretString};
use roadstead_catalog::{Offer, OfferedTool};
use roadstead_control::StopReason;
use roadstead_inspector::{InspectError, Listed};
use roadstead_model::{Actor, CredentialId, InstanceId, Port};
use serde_json::{Map, Value};

use crate::error::LaunchError;
use crate::launch::{LaunchRequest, Wait};
use crate::parts::Orchestrator;

/// How long such an instance lives at most, should nobody end it.
const LIFETIME: Duration = Duration::from_mins(5);

/// What to ask a type's server with.
#[derive(Debug)]
pub struct InspectRequest {
    /// The type, by id or name.
    pub named: String,
    /// A stored credential of the caller.
    pub credential: Option<CredentialId>,
    /// Secret values for this once.
    pub secrets: Option<BTreeMap<String, String>>,
    /// Merged over the type's defaults.
    pub config: Map<String, Value>,
}

/// Why nobody knows what a type's servers offer.
#[derive(Debug, thiserror::Error)]
pub enum InspectTypeError {
    /// None could be launched.
    #[error(transparent)]
    Launch(#[from] LaunchError),
    /// It was launched, and not heard to the end.
    #[error("the server was started, but {error}")]
    Inspect {
        /// What it did not do.
        #[source]
        error: InspectError,
    },
    /// It could not be kept.
    #[error(transparent)]
    Accounts(#[from] AccountsError),
}

impl Orchestrator {
    /// Launches a server of a type, approved or not, asks it what it offers, ends it, and keeps the answer.
    pub async fn inspect_type(
        &self,
        permit: &AdminPermit,
        launch: LaunchPermit,
        request: InspectRequest,
    ) -> Result<Offered, InspectTypeError> {
        let row = self.0.parts.accounts.type_for_change(permit, &request.named).await?;
        // What it leaves for others to read could hold one.
        let has_no_secret =
            request.credential.is_none() && request.secrets.as_ref().is_none_or(BTreeMap::is_empty);
        let wanted = LaunchRequest {
            // Several projects may call one so.
            type_name: row.id.to_string(),
            name: None,
            credential: request.credential,
            secrets: request.secrets,
            config: request.config,
            expires_in: Some(LIFETIME),
            idle_limit: None,
            keep: false,
            autostart: false,
            wait: Wait::Ready,
            inspects: true,
        };
        let launched = self.launch(launch, wanted).await?;
        let (id, port) = (launched.instance.id, launched.instance.port());
        let user = port.filter(|_| self.0.running_as_root).map(|port| crate::workplace::user_of(port).uid);
        if has_no_secret {
            self.0.begin_to_compile(id, &self.0.places_in(&row.definition.spec), user);
        }
        let url = format!("http://{}:{}/mcp", Ipv4Addr::LOCALHOST, port.map_or(0, Port::get));
        let token = SecretString::from(launched.token.expose_secret().to_owned());
        let heard = roadstead_inspector::ask(&url, &token).await;
        self.away_with(id).await;
        let listed = heard.map_err(|error| InspectTypeError::Inspect { error })?;
        let scanned = match &self.0.parts.scanner {
            Some(scanner) => crate::scan::scan(scanner, &row.name, &listed).await,
            None => Vec::new(),
        };
        Ok(self.0.parts.accounts.keep_manifest(&row, offer(listed), scanned).await?)
    }

    /// Ends the instance, whoever still listens, and takes it out of its owner's lists.
    async fn away_with(&self, id: InstanceId) {
        let this = self.clone();
        let work = async move {
            this.ask_to_end(id, StopReason::Requested, Actor::SYSTEM).await;
            // It may have ended before it was to keep anything.
            this.0.compile_no_more(id);
            if let Err(error) = this.0.store().instances().soft_delete(id, &Actor::SYSTEM, this.0.now()).await
            {
                tracing::warn!(instance.id = %id, error = &error as &dyn std::error::Error,
                    "an instance that was only asked what it offers could not be taken out of the lists");
            }
        };
        // It goes on if the caller hangs up.
        let _ = self.0.parts.tasks.spawn(work).await;
    }
}

fn offer(listed: Listed) -> Offer {
    let text = |tool: &Value, key: &str| tool.get(key).and_then(Value::as_str).map(str::to_owned);
    let tool = |tool: &Value| OfferedTool {
        name: text(tool, "name").unwrap_or_default(),
        title: text(tool, "title"),
        description: text(tool, "description"),
        input_schema: tool.get("inputSchema").cloned(),
        output_schema: tool.get("outputSchema").cloned(),
        annotations: tool.get("annotations").cloned(),
        hash: String::new(),
    };
    Offer {
        tools: listed.tools.iter().map(tool).collect(),
        server: listed.server,
        instructions: listed.instructions,
        protocol_version: Some(listed.protocol_version).filter(|version| !version.is_empty()),
        resources: listed.resources,
        resource_templates: listed.resource_templates,
        prompts: listed.prompts,
    }
}
