//! What a shim is told: the type, filled in, as a plan and its secrets.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

use roadstead_accounts::{ExposeSecret, SecretString};
use roadstead_catalog::{Facts, Kind, Rendered};
use roadstead_control::{
    BridgeSettings, ControlSecret, FIRST_SECRET_DESCRIPTOR, HttpServer, HttpTransport, Isolation, Limits,
    PROTOCOL_VERSION, SECRETS_FOLDER, Secret, Secrets, Specification, TokenHash, UserIds,
};
use roadstead_model::{Era, Port, RestartPolicy, Transport};
use serde::Serialize;

use super::confine;
use super::reserve::PORT_ATTEMPTS;
use super::steps::Reserved;
use crate::error::{Failure, LaunchError};
use crate::parts::Inner;

/// The program that speaks to remote servers, beside our own.
pub(crate) const RELAY: &str = "roadstead-relay";
/// The variable that tells it which.
const RELAY_VARIABLE: &str = "ROADSTEAD_RELAY";
const BYTES_PER_MEBIBYTE: u64 = 1024 * 1024;
/// Bytes of a relay's configuration beside its texts.
const RELAY_FRAME_BYTES: usize = 256;

/// What a relay is told.
#[derive(Serialize)]
struct RelayConfig<'a> {
    url: &'a str,
    transport: HttpTransport,
    headers: BTreeMap<&'a str, &'a str>,
    allow_private: bool,
}

impl Reserved {
    /// The templates of the type, filled in.
    pub(super) fn render(&self, inner: &Inner, folder: &Path) -> Result<Rendered, LaunchError> {
        let plan = &self.plan;
        let port = match plan.spec.kind() {
            Kind::LocalHttp => private_port(inner)?,
            Kind::Stdio | Kind::Remote => self.lease.port(),
        };
        let secrets = inner.parts.supervisor.run_folder(self.instance).join(SECRETS_FOLDER);
        let facts = Facts {
            instance_id: self.instance,
            port,
            dir: &folder.to_string_lossy(),
            secrets_dir: &secrets.to_string_lossy(),
            first_descriptor: FIRST_SECRET_DESCRIPTOR,
        };
        roadstead_catalog::render(&plan.spec, &plan.config, &plan.values, facts).map_err(|problems| {
            let message =
                problems.iter().map(|each| format!("{} {}", each.field, each.message)).collect::<Vec<_>>();
            let failure = Failure {
                code: "INVALID_TEMPLATE".to_owned(),
                message: message.join("; "),
                stderr_tail: Vec::new(),
                timed_out: false,
            };
            LaunchError::ServerFailed { instance: self.instance, failure }
        })
    }

    pub(super) fn specification(
        &self,
        inner: &Inner,
        rendered: Rendered,
        folder: &Path,
        user: Option<UserIds>,
        control: ControlSecret,
    ) -> (Specification, Secrets) {
        let spec = &self.plan.spec;
        let limits = spec.limits();
        let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        let remaining = Duration::try_from(self.expires_at - inner.now()).unwrap_or_default();
        let mut environment: Vec<(String, Secret)> =
            rendered.env.iter().map(|(name, value)| (name.clone(), secret(value))).collect();
        let (program, http) = self.reach(inner, &rendered, &mut environment);
        let confinement = confine::policy(inner, spec, &rendered, &self.plan.grants, folder);
        let specification = Specification {
            version: PROTOCOL_VERSION,
            installation: inner.parts.node.installation,
            instance: self.instance,
            node: inner.parts.node.node,
            boot: inner.parts.node.boot,
            generation: self.generation,
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, self.lease.port().get())),
            remaining_ms: millis(remaining),
            run_folder: PathBuf::new(),
            program,
            args: rendered.args,
            working_folder: PathBuf::from(rendered.working_dir),
            user,
            isolation: Isolation::Auto,
            era: self.plan.era().0,
            ready_timeout_ms: 1000 * u64::from(spec.ready_timeout_s),
            stop_step_ms: millis(inner.parts.limits.stop_step),
            grace_ms: millis(inner.parts.limits.grace),
            limits: Limits {
                open_files: u64::from(limits.open_files),
                processes: Some(u64::from(limits.processes)),
                file_size_bytes: Some(mebibytes(limits.largest_file_mb())),
                memory_bytes: Some(mebibytes(limits.memory_mb)),
                cpu_millis: Some(millis_of(limits.cpu)),
                disk_bytes: Some(mebibytes(limits.disk_mb)),
            },
            // The supervisor fills it in.
            cgroups: Vec::new(),
            allowed_origins: inner.parts.allowed_origins.clone(),
            bridge: self.bridge(inner),
            // A type that is stored has been checked.
            restart: RestartPolicy::try_from(spec.restart_fields()).unwrap_or(RestartPolicy::Never),
            idle_limit_ms: self.plan.idle_limit().map(millis),
            http,
            confinement,
        };
        let headers = match specification.http {
            Some(_) => rendered.headers.iter().map(|(name, value)| (name.clone(), secret(value))).collect(),
            None => Vec::new(),
        };
        let secrets = Secrets {
            token_sha256: TokenHash::new(self.token_hash),
            control,
            environment,
            headers,
            masks: self.plan.values.values().map(secret).collect(),
            files: rendered.files.iter().map(|(name, value)| (name.clone(), secret(value))).collect(),
            descriptors: rendered.descriptors.iter().map(secret).collect(),
        };
        (specification, secrets)
    }

    /// The program that is run, and where it answers if not on its standard streams. A remote server is reached
    /// by a program of ours, which is told where and with what in its environment.
    fn reach(
        &self,
        inner: &Inner,
        rendered: &Rendered,
        environment: &mut Vec<(String, Secret)>,
    ) -> (PathBuf, Option<HttpServer>) {
        let spec = &self.plan.spec;
        let program = rendered.program.as_ref().map(PathBuf::from).unwrap_or_default();
        let transport = match spec.transport {
            Transport::Stdio => return (program, None),
            Transport::StreamableHttp => HttpTransport::StreamableHttp,
            Transport::Sse => HttpTransport::Sse,
        };
        let url = rendered.url.clone().unwrap_or_default();
        if spec.kind() == Kind::LocalHttp {
            return (
                program,
                Some(HttpServer { transport, url, allow_any_interface: spec.allow_any_interface }),
            );
        }
        let headers = rendered.headers.iter();
        let config = RelayConfig {
            url: &url,
            transport,
            headers: headers.map(|(name, value)| (name.as_str(), value.expose_secret())).collect(),
            allow_private: spec.allow_private,
        };
        let texts = config.headers.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>();
        let config = written(&config, texts + url.len(), config.headers.len(), RELAY_FRAME_BYTES);
        environment.push((RELAY_VARIABLE.to_owned(), config));
        (inner.parts.bundled.join(RELAY), None)
    }

    fn bridge(&self, inner: &Inner) -> BridgeSettings {
        let spec = &self.plan.spec;
        let mut limits = inner.settings().bridge;
        if let Some(timeout) = spec.call_timeout_s {
            limits.call_timeout_s = u64::from(timeout);
        }
        if let Some(longest) = spec.call_timeout_max_s {
            limits.call_timeout_max_s = u64::from(longest);
        }
        limits.call_timeout_max_s = limits.call_timeout_max_s.max(limits.call_timeout_s);
        BridgeSettings {
            limits,
            era_is_remembered: self.plan.era().1,
            session_mode: spec.session_mode,
            era_bridge: spec.era_bridge,
            replay_initialize: spec.replay_initialize,
            tools: self.plan.tools.clone(),
        }
    }
}

impl super::plan::Plan {
    /// The idle limit that holds: the launch's own, else the type's.
    fn idle_limit(&self) -> Option<Duration> {
        let of_type = self.spec.idle_limit_s.map(|seconds| Duration::from_secs(seconds.into()));
        self.idle_limit.or(of_type)
    }

    /// The era to launch with, and whether an earlier instance found it out.
    fn era(&self) -> (Era, bool) {
        match (self.spec.era, self.probed) {
            (Era::Auto, Some(found)) => (found.era, true),
            (era, _) => (era, false),
        }
    }
}

fn secret(value: &SecretString) -> Secret {
    Secret::new(value.expose_secret().to_owned())
}

/// Written into a buffer that never grows: growing would leave copies of secrets behind. `text_bytes` are those of all texts,
/// `pairs` counts the headers, `frame_bytes` is what is left.
pub(crate) fn written(
    document: &impl Serialize,
    text_bytes: usize,
    pairs: usize,
    frame_bytes: usize,
) -> Secret {
    // A character has at most six of JSON's, and each text two quotes, a colon and a comma.
    let most = 6 * text_bytes + 6 * pairs + frame_bytes;
    let mut bytes = Vec::with_capacity(most);
    serde_json::to_writer(&mut bytes, document).expect("texts and switches are JSON");
    debug_assert!(bytes.len() <= most, "the buffer did not grow");
    Secret::new(String::from_utf8(bytes).expect("JSON is UTF-8"))
}

/// A port for a server that speaks HTTP itself: free on every address, and none of the pool. Whoever is quicker
/// to take it is noticed by the shim, and the launch begins again.
fn private_port(inner: &Inner) -> Result<Port, LaunchError> {
    let pool = inner.settings().ports;
    for _ in 0..PORT_ATTEMPTS {
        match ephemeral_port() {
            Ok(port) if !pool.contains(port) => return Ok(port),
            Ok(_) => {}
            Err(error) => LaunchError::of_port(error).map_or(Ok(()), Err)?,
        }
    }
    Err(LaunchError::PortsExhausted { retry_after: inner.parts.limits.quarantine })
}

/// A port that the kernel holds free on every address.
fn ephemeral_port() -> io::Result<Port> {
    let chosen = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
    TcpListener::bind((Ipv4Addr::UNSPECIFIED, chosen))?;
    Port::new(chosen).ok_or_else(|| io::ErrorKind::AddrNotAvailable.into())
}

pub(super) fn mebibytes(count: u32) -> u64 {
    u64::from(count) * BYTES_PER_MEBIBYTE
}

/// Thousandths of a processor.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a type's share was checked to be positive and no more than a machine has"
)]
fn millis_of(cpu: f64) -> u32 {
    (cpu * 1000.0).round() as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_relay_is_told_everything_in_one_value_that_did_not_grow() {
        let hostile = "\u{1}\"\\".repeat(100);
        let config = RelayConfig {
            url: "https://mcp.example.com/sse",
            transport: HttpTransport::Sse,
            headers: BTreeMap::from([("Authorization", hostile.as_str()), ("X-A", "")]),
            allow_private: true,
        };
        let told: serde_json::Value =
            serde_json::from_str(written(&config, hostile.len() + 100, 2, RELAY_FRAME_BYTES).expose())
                .unwrap();
        let expected = serde_json::json!({
            "url": "https://mcp.example.com/sse", "transport": "sse",
            "headers": {"Authorization": hostile, "X-A": ""}, "allow_private": true,
        });
        assert_eq!(told, expected);
    }
}
