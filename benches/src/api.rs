//! The service's REST API, as far as a benchmark needs it.

use std::path::Path;

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use crate::http::{Connection, Endpoint};

/// Settings that are raised for the time of a run, and to what.
const RAISED: &[(&str, u64)] = &[
    ("mcp.max_instances_per_user", 1000),
    ("port.range_end", 3700),
    ("process.max_cpu_percent", 10_000),
    ("bridge.max_sessions", 64),
    ("launches.per_minute_per_user", 1_000_000),
    ("limits.per_address_per_minute", 1_000_000),
    ("limits.per_key_per_minute", 1_000_000),
    ("limits.per_user_per_minute", 1_000_000),
    ("quotas.instances_per_organization", 1_000),
    ("quotas.memory_mb_per_user", 1_000_000),
    ("quotas.memory_mb_per_organization", 1_000_000),
    ("quotas.cpu_percent_per_user", 1_000_000),
    ("quotas.cpu_percent_per_organization", 1_000_000),
    ("launches.max_waiting", 10_000),
];

/// A launched instance.
#[derive(Debug)]
pub struct Instance {
    pub id: String,
    pub access_url: String,
    pub port_url: String,
    pub access_token: String,
    pub process_id: Option<i32>,
}

/// The API over one connection that stays.
#[derive(Debug)]
pub struct Api {
    base: Endpoint,
    connection: Connection,
}

/// What has to be put back when the run is over.
#[derive(Debug, Default)]
pub struct Prepared {
    settings: Vec<(&'static str, Value)>,
    types: Vec<String>,
}

impl Api {
    pub async fn open(url: &str, key: &str) -> anyhow::Result<Self> {
        let base = Endpoint::parse(url.trim_end_matches('/'), Some(key))?;
        let connection = Connection::open(&base).await?;
        Ok(Self { base, connection })
    }

    /// Scheme, host and port.
    pub fn base(&self) -> String {
        format!("http://{}", self.base.authority)
    }

    /// The header lines that open it, each with its end.
    pub fn headers(&self) -> &str {
        &self.base.headers
    }

    /// Another connection to the same service.
    pub async fn again(&self) -> anyhow::Result<Self> {
        Ok(Self { base: self.base.clone(), connection: Connection::open(&self.base).await? })
    }

    /// Launches and waits until it is ready.
    pub async fn launch(&mut self, type_name: &str) -> anyhow::Result<Instance> {
        let body = json!({ "type": type_name, "name": type_name, "expires_in": "10m" });
        let answer = self.ask("POST", "/instances", Some(&body), 201).await?;
        let text = |field: &str| {
            let value =
                answer[field].as_str().with_context(|| format!("a launch was answered without {field}"));
            value.map(str::to_owned)
        };
        Ok(Instance {
            id: text("id")?,
            access_url: text("access_url")?,
            port_url: text("port_url")?,
            access_token: text("access_token")?,
            process_id: answer["process_id"].as_i64().and_then(|pid| i32::try_from(pid).ok()),
        })
    }

    /// The level at which an instance is confined.
    pub async fn confinement_of(&mut self, instance: &Instance) -> anyhow::Result<String> {
        let answer = self.ask("GET", &format!("/instances/{}", instance.id), None, 200).await?;
        Ok(answer["confinement"]["level"].as_str().unwrap_or("unknown").to_owned())
    }

    pub async fn delete(&mut self, instance: &Instance) -> anyhow::Result<()> {
        self.ask("DELETE", &format!("/instances/{}", instance.id), None, 204).await?;
        Ok(())
    }

    /// Raises the limits that a run would meet; what they were goes into `prepared` as it is changed.
    pub async fn raise_limits(&mut self, prepared: &mut Prepared) -> anyhow::Result<()> {
        let settings = self.ask("GET", "/settings", None, 200).await?;
        for (key, least) in RAISED {
            // A service that does not know the limit does not have it.
            let Some(now) = settings["data"].get(*key) else { continue };
            if now.as_u64().is_none_or(|now| now < *least) {
                self.ask("PUT", &format!("/settings/{key}"), Some(&json!({ "value": least })), 200).await?;
                prepared.settings.push((key, now.clone()));
            }
        }
        Ok(())
    }

    /// Makes a server type of a program; the name says whose it is.
    pub async fn create_type(
        &mut self,
        name: &str,
        program: &Path,
        args: &[&str],
        prepared: &mut Prepared,
    ) -> anyhow::Result<()> {
        self.create_type_with(name, program, args, &Value::Null, prepared).await
    }

    /// The same with more fields.
    pub async fn create_type_with(
        &mut self,
        name: &str,
        program: &Path,
        args: &[&str],
        more: &Value,
        prepared: &mut Prepared,
    ) -> anyhow::Result<()> {
        let mut body = json!({
            "name": name,
            "display_name": "Benchmark",
            "program": program,
            "args": args,
            "era": "legacy",
            "rate_limit_per_minute": 0,
            // The rivals have no limits either.
            "resource_limits": { "memory_mb": 8192, "cpu": 64.0, "processes": 4096, "open_files": 1024 },
        });
        for (field, value) in more.as_object().into_iter().flatten() {
            body[field] = value.clone();
        }
        let answer = self.ask("POST", "/types", Some(&body), 201).await?;
        prepared.types.push(answer["id"].as_str().context("a type was answered without an id")?.to_owned());
        Ok(())
    }

    /// Makes a server type of a public package; answers with what the API says of it.
    pub async fn import(&mut self, body: &Value, prepared: &mut Prepared) -> anyhow::Result<Value> {
        let mut answer = self.ask("POST", "/types/import", Some(body), 201).await?;
        let made = answer["type"].take();
        prepared.types.push(made["id"].as_str().context("a type was answered without an id")?.to_owned());
        Ok(made)
    }

    /// Has a type's server asked what it offers, as `roadstead types add` does.
    pub async fn look_at(&mut self, type_name: &str) -> anyhow::Result<()> {
        self.ask("POST", &format!("/types/{type_name}/inspect"), Some(&json!({})), 200).await.map(drop)
    }

    /// Puts back what was changed; goes on after a failure and tells the first.
    pub async fn put_back(&mut self, prepared: Prepared) -> anyhow::Result<()> {
        let mut outcome = Ok(());
        for id in prepared.types {
            let disabled = self.ask("POST", &format!("/types/{id}/disable"), None, 200).await;
            outcome = outcome.and(disabled.map(drop));
        }
        for (key, value) in prepared.settings.into_iter().rev() {
            let body = json!({ "value": value });
            let restored = self.ask("PUT", &format!("/settings/{key}"), Some(&body), 200).await;
            outcome = outcome.and(restored.map(drop));
        }
        outcome
    }

    /// What a path answers with.
    pub async fn get(&mut self, path: &str) -> anyhow::Result<Value> {
        self.ask("GET", path, None, 200).await
    }

    /// Makes a user; answers with their id.
    pub async fn create_user(&mut self, name: &str) -> anyhow::Result<String> {
        let body = json!({ "email": format!("{name}@example.com"), "name": name });
        let user = self.ask("POST", "/users", Some(&body), 201).await?;
        user["id"].as_str().map(str::to_owned).context("a user was answered without an id")
    }

    /// Makes a user with a key of all scopes; answers with their id and the key.
    pub async fn create_person(&mut self, name: &str) -> anyhow::Result<(String, String)> {
        let user = self.create_user(name).await?;
        let scopes = self.get("/me").await?["key"]["scopes"].take();
        let body = json!({ "name": name, "scopes": scopes, "user_id": user });
        let key = self.ask("POST", "/api-keys", Some(&body), 201).await?;
        let key = key["key"].as_str().context("a key was answered without itself")?.to_owned();
        Ok((user, key))
    }

    async fn ask(
        &mut self,
        method: &str,
        path: &str,
        body: Option<&Value>,
        wanted: u16,
    ) -> anyhow::Result<Value> {
        let endpoint = self.base.at(&format!("/api/v1{path}"));
        let (status, answer) = self.connection.json(&endpoint, method, body).await?;
        ensure!(
            status == wanted,
            "{method} {path} was answered with {status}: {}",
            answer["error"]["message"]
        );
        Ok(answer)
    }
}
