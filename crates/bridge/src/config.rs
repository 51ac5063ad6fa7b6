//! What may be set, and every limit with its reason.

use std::time::Duration;

/// Which protocol generation the server behind the bridge speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Era {
    /// Only revisions with `initialize` and sessions.
    Legacy,
    /// Only the stateless revision.
    Modern,
    /// Both, one per process.
    Dual,
    /// Not known: the first modern request finds out.
    Auto,
}

/// Whether legacy sessions are kept apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionMode {
    /// Every session has a server process of its own, as the protocol has it.
    PerSession,
    /// All sessions use one server process; only for servers that remember nothing of a client. What the first client said in
    /// its `initialize` counts for all of them.
    Shared,
}

/// Settings of one bridge. `BridgeConfig::new` gives the defaults.
#[derive(Debug, Clone)]
pub struct BridgeConfig {
    /// What the server speaks.
    pub era: Era,
    /// Origins that may call besides loopback ones, such as `https://app.example.com`.
    pub allowed_origins: Vec<String>,
    /// Host names that may be asked for on the instance's own port besides loopback ones, without a port number.
    pub allowed_hosts: Vec<String>,
    /// Legacy sessions at one time; each holds a server process.
    pub max_sessions: usize,
    /// A session without streams, calls or messages for this long gives way when a new one finds no room. Many clients never
    /// say goodbye, and without this they would lock everybody out.
    pub session_reclaim_after: Duration,
    /// Longest line a server may write; longer ones are skipped. As large as the largest body that may come in.
    pub max_line: usize,
    /// Largest body of a request.
    pub max_body: usize,
    /// Time in which a body has to arrive.
    pub body_timeout: Duration,
    /// How long the response head is held back, so that a quick answer can be plain JSON with a status of its own.
    pub head_hold: Duration,
    /// A call without an answer after this time is cancelled and answered with an error.
    pub call_timeout: Duration,
    /// Pause after which a comment is sent on an idle event stream. Proxies cut streams that are silent for 30 s.
    pub keep_alive: Duration,
    /// Calls at one time on one server process.
    pub max_calls: usize,
    /// Messages in one JSON-RPC batch.
    pub max_batch: usize,
    /// Messages kept for a stream, or for the time until one opens.
    pub max_queued_messages: usize,
    /// Bytes of such messages.
    pub max_queued_bytes: usize,
    /// Requests of the server to its client that wait for an answer.
    pub max_server_requests: usize,
    /// A request of the server for which no stream opens in this time is answered with an error.
    pub server_request_wait: Duration,
    /// Bytes that may wait for a server which does not read its input.
    pub max_input_backlog: usize,
    /// How long a message waits for room in that backlog.
    pub write_timeout: Duration,
    /// A server silent to `ping` counts as ready when it is still alive after this time.
    pub silent_ready: Duration,
    /// How long a server may take to answer `server/discover` when its era is being found out.
    pub discover_timeout: Duration,
    /// Whether legacy sessions are kept apart.
    pub session_mode: SessionMode,
}

impl BridgeConfig {
    /// The defaults for a server of this era.
    #[must_use]
    pub fn new(era: Era) -> Self {
        const MIB: usize = 1024 * 1024;
        Self {
            era,
            allowed_origins: Vec::new(),
            allowed_hosts: Vec::new(),
            max_sessions: 8,
            session_reclaim_after: Duration::from_mins(10),
            max_line: 64 * MIB,
            max_body: 64 * MIB,
            body_timeout: Duration::from_mins(1),
            head_hold: Duration::from_secs(1),
            call_timeout: Duration::from_mins(10),
            keep_alive: Duration::from_secs(15),
            max_calls: 1024,
            max_batch: 100,
            max_queued_messages: 1024,
            max_queued_bytes: 8 * MIB,
            max_server_requests: 256,
            server_request_wait: Duration::from_secs(30),
            max_input_backlog: MIB,
            write_timeout: Duration::from_secs(30),
            silent_ready: Duration::from_secs(1),
            discover_timeout: Duration::from_secs(3),
            session_mode: SessionMode::PerSession,
        }
    }
}
