//! How this machine reaches registries; a service gets it from its environment.

const WAYS: &[&str] = &[
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "NO_PROXY",
    "SSL_CERT_FILE",
    "NODE_EXTRA_CA_CERTS",
    "PIP_CERT",
    "PIP_INDEX_URL",
    "npm_config_registry",
];

#[expect(clippy::disallowed_methods, reason = "the machine's own settings")]
pub(crate) fn of_this_machine() -> Vec<(String, String)> {
    let set = |name: &&str| Some(((*name).to_owned(), std::env::var(name).ok()?));
    WAYS.iter().filter_map(set).collect()
}
