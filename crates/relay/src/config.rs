//! What the relay is told, checked before anything is connected. No error repeats a value.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, HeaderValue, Uri};
use roadstead_upstream::{Dial, Transport, Upstream, UpstreamLimits};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use serde::Deserialize;
use tokio_rustls::TlsConnector;
use zeroize::Zeroizing;

use crate::VARIABLE;
use crate::dial::{RemoteDial, Tls};

/// Why the relay cannot begin.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    #[error("the environment variable {VARIABLE} is missing")]
    Missing,
    #[error("the environment variable {VARIABLE} is not text")]
    NotText,
    #[error("the standard input cannot be read: {0}")]
    Input(#[source] std::io::Error),
    #[error("the configuration is not what it should be, at line {line}, column {column}")]
    Unreadable { line: usize, column: usize },
    #[error("the URL is not a whole one such as https://mcp.example.com/mcp")]
    Url,
    #[error("the URL holds a user name; send credentials in a header")]
    UserInUrl,
    #[error("the URL has to begin with https, unless private addresses are allowed")]
    NotEncrypted,
    #[error("the method is none of HTTP's")]
    Method,
    #[error("the header {0:?} has no valid name or value")]
    Header(String),
    #[error("extra_root holds no certificate in PEM that could be trusted")]
    ExtraRoot,
    #[error("encryption cannot be set up: {0}")]
    Encryption(#[source] rustls::Error),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Setting {
    url: String,
    #[serde(default)]
    transport: TransportName,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    allow_private: bool,
    #[serde(default)]
    extra_root: Option<String>,
}

#[derive(Deserialize, Default, Clone, Copy)]
#[serde(rename_all = "snake_case")]
enum TransportName {
    #[default]
    StreamableHttp,
    Sse,
}

/// Takes the configuration out of the environment, also out of the copy that the system shows of it.
pub(crate) fn take_variable() -> Result<Zeroizing<String>, ConfigError> {
    let value = roadstead_sandbox::environment::take(VARIABLE).ok_or(ConfigError::Missing)?;
    value.into_string().map(Zeroizing::new).map_err(|_| ConfigError::NotText)
}

/// A configuration that can be worked with.
pub(crate) struct Config {
    upstream: Upstream,
    dial: RemoteDial,
}

impl Config {
    pub(crate) fn read(setting: &str) -> Result<Self, ConfigError> {
        // What serde says may repeat a value.
        let setting: Setting = serde_json::from_str(setting)
            .map_err(|error| ConfigError::Unreadable { line: error.line(), column: error.column() })?;
        let (url, dial) = endpoint(&setting.url, setting.allow_private, setting.extra_root.as_deref())?;
        let transport = match setting.transport {
            TransportName::StreamableHttp => Transport::StreamableHttp,
            TransportName::Sse => Transport::Sse,
        };
        let headers = headers(setting.headers)?;
        // Nobody is just starting it, so it listens or it does not.
        let limits = UpstreamLimits { start_patience: Duration::ZERO, ..UpstreamLimits::default() };
        Ok(Self { upstream: Upstream { transport, url, headers, limits }, dial })
    }

    pub(crate) fn parts(self) -> (Upstream, Rc<dyn Dial>) {
        (self.upstream, Rc::new(self.dial))
    }
}

/// An address, and the way to it.
pub(crate) fn endpoint(
    address: &str,
    allow_private: bool,
    extra_root: Option<&str>,
) -> Result<(Uri, RemoteDial), ConfigError> {
    let url: Uri = address.parse().map_err(|_| ConfigError::Url)?;
    let authority = url.authority().ok_or(ConfigError::Url)?;
    if authority.as_str().contains('@') {
        return Err(ConfigError::UserInUrl);
    }
    let encrypted = match url.scheme_str() {
        Some("https") => true,
        Some("http") if allow_private => false,
        Some("http") => return Err(ConfigError::NotEncrypted),
        _ => return Err(ConfigError::Url),
    };
    let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
    if host.is_empty() {
        return Err(ConfigError::Url);
    }
    let port = authority.port_u16().unwrap_or(if encrypted { 443 } else { 80 });
    let tls = if encrypted {
        let name = ServerName::try_from(host.clone()).map_err(|_| ConfigError::Url)?;
        let connector = TlsConnector::from(Arc::new(tls_config(extra_root)?));
        Some(Tls { connector, name })
    } else {
        None
    };
    Ok((url, RemoteDial { host, port, tls, allow_private }))
}

pub(crate) fn headers(
    settings: BTreeMap<String, String>,
) -> Result<Vec<(HeaderName, HeaderValue)>, ConfigError> {
    let header = |(name, value): (String, String)| {
        let value = Zeroizing::new(value);
        let parsed = HeaderName::try_from(name.as_str()).ok().zip(HeaderValue::from_str(&value).ok());
        let (parsed_name, mut value) = parsed.ok_or(ConfigError::Header(name))?;
        value.set_sensitive(true);
        Ok((parsed_name, value))
    };
    settings.into_iter().map(header).collect()
}

fn tls_config(extra_root: Option<&str>) -> Result<ClientConfig, ConfigError> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    if let Some(pem) = extra_root {
        let mut added = 0;
        for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
            let certificate = certificate.map_err(|_| ConfigError::ExtraRoot)?;
            roots.add(certificate).map_err(|_| ConfigError::ExtraRoot)?;
            added += 1;
        }
        if added == 0 {
            return Err(ConfigError::ExtraRoot);
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.map_err(ConfigError::Encryption)?;
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(setting: &str) -> String {
        Config::read(setting).err().expect("refused").to_string()
    }

    #[test]
    fn a_whole_configuration_is_read() {
        let setting = r#"{"url":"https://[2606:4700::1111]:8443/mcp","transport":"sse",
            "headers":{"Authorization":"Bearer s3cret"},"allow_private":false}"#;
        let config = Config::read(setting).unwrap();
        assert_eq!((config.dial.host.as_str(), config.dial.port), ("2606:4700::1111", 8443));
        assert_eq!(config.upstream.transport, Transport::Sse);
        assert!(config.upstream.headers[0].1.is_sensitive());
        assert!(!format!("{:?}", config.upstream).contains("s3cret"));
    }

    #[test]
    fn what_is_not_allowed_is_refused_without_repeating_a_secret() {
        let long = |rest: &str| format!(r#"{{"url":"https://a.example/mcp"{rest}}}"#);
        for (setting, part) in [
            (r#"{"url":"http://a.example/mcp"}"#.to_owned(), "https"),
            (r#"{"url":"ftp://a.example/mcp","allow_private":true}"#.to_owned(), "whole"),
            (r#"{"url":"https://name:s3cret@a.example/mcp"}"#.to_owned(), "user name"),
            (r#"{"url":"/mcp"}"#.to_owned(), "whole"),
            (long(r#","headers":"s3cret""#), "line 1"),
            (long(r#","headers":{"X-Key":"s3cret\n"}"#), "X-Key"),
            (long(r#","allow_privat":true"#), "line 1"),
            (long(r#","extra_root":"s3cret""#), "extra_root"),
            (
                long(r#","extra_root":"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----""#),
                "extra_root",
            ),
        ] {
            let said = refusal(&setting);
            assert!(said.contains(part) && !said.contains("s3cret"), "{setting}: {said}");
        }
    }

    #[test]
    fn a_server_without_encryption_is_for_private_networks() {
        let config = Config::read(r#"{"url":"http://intranet/mcp","allow_private":true}"#).unwrap();
        assert!(config.dial.tls.is_none() && config.dial.port == 80);
    }
}
