//! The HTTP client that REST calls and MCP calls share.

use std::sync::Once;
use std::time::Duration;

use reqwest::Url;

use crate::globals::is_loopback;

/// How long a connection may take: the service is near, or it is not there.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A client for one address, without a limit on the whole exchange: streams have none, requests bring their own.
pub(crate) fn client(url: &Url) -> Result<reqwest::Client, reqwest::Error> {
    static PROVIDER: Once = Once::new();
    PROVIDER.call_once(|| {
        // Somebody else's choice of a provider is as good as ours.
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
    let mut builder = reqwest::Client::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .user_agent(concat!("roadstead/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none());
    if url.scheme() == "http" {
        // Without TLS no certificate is looked at, and a machine that has none can still be asked.
        builder = builder.tls_certs_only([]);
    }
    if is_loopback(url) {
        // A proxy leads out of the machine; the key of a service on it must not.
        builder = builder.no_proxy();
    }
    builder.build()
}
