//! The HTTP client that REST calls and MCP calls share.

use std::sync::Once;
use std::time::Duration;

/// How long a connection may take: the service is near, or it is not there.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A client without a limit on the whole exchange: streams have none, requests bring their own.
pub(crate) fn client() -> Result<reqwest::Client, reqwest::Error> {
    static PROVIDER: Once = Once::new();
    PROVIDER.call_once(|| {
        // Somebody else's choice of a provider is as good as ours.
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
    reqwest::Client::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .user_agent(concat!("roadstead/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .build()
}

/// Whether nobody listens where we asked.
pub(crate) fn nobody_there(error: &reqwest::Error) -> bool {
    error.is_connect() || error.is_timeout()
}
