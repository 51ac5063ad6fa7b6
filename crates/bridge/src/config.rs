//! What may be set, and every limit with its reason.

use std::time::Duration;

use roadstead_model::ToolRules;

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
    /// A session without streams, calls or messages for this long gives way when a new one finds no room, the quietest first. Many
    /// clients never say goodbye, one session a command, and without this they would lock everybody out. Those that stay have a
    /// stream open; one that has none begins anew when it hears that its session has ended.
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
    /// A server silent to `ping` counts as ready when it is still alive after this time and does nothing.
    pub silent_ready: Duration,
    /// How long a server may take to answer `server/discover` when its era is being found out.
    pub discover_timeout: Duration,
    /// Open event streams and waiting answers at one time. Above it a request gets 429 with `STREAMS_EXHAUSTED`, so that one
    /// client cannot take every connection of the instance.
    pub max_streams: usize,
    /// Subscriptions of modern clients (`subscriptions/listen`) at one time. Above it: 429 with `LISTENS_EXHAUSTED`.
    pub max_listens: usize,
    /// Events of one stream that can be sent again to a client that lost its connection. The oldest give way.
    pub event_store_events: usize,
    /// Bytes of such events in one session, all streams together. The oldest give way; a message larger than this is never kept.
    pub event_store_bytes: usize,
    /// How long such an event is kept. Also how long a request of the server may stay without an answer after the stream that
    /// took it broke and while the session has no other one.
    pub event_store_age: Duration,
    /// How long a client should wait before it connects again; sent to clients that negotiated 2025-11-25.
    pub retry: Duration,
    /// A call that reports progress may take longer than `call_timeout`, but not longer than this. Never below `call_timeout`.
    pub call_timeout_max: Duration,
    /// Whether a session outlives its server process: the next request opens a fresh process and the client's own handshake is
    /// repeated there. What the server remembered of the session is gone, so this is only honest for servers that remember
    /// nothing; otherwise the session ends with its process (404).
    pub replay_initialize: bool,
    /// Whether clients of one era may use a server of the other, by translation. Without it such clients are refused as the
    /// specification wants it.
    pub era_bridge: bool,
    /// Whether `era` was found out in an earlier life of the server and not set by a person: then a server that is of another era
    /// is asked again instead of failing.
    pub era_is_remembered: bool,
    /// Legacy processes at one time that serve modern clients: one for each client identity and its capabilities. Above it the
    /// one that has been quiet for the longest time gives way, or the call fails. As many as sessions, because they cost the same.
    pub max_bridged_servers: usize,
    /// Calls of modern clients at one time that wait for their client to bring what a legacy server asked for. Each is a call the
    /// server has not finished.
    pub max_parked_calls: usize,
    /// How long such a call waits before it is cancelled. People have to read, decide and type in that time.
    pub parked_call_age: Duration,
    /// Whether legacy sessions are kept apart.
    pub session_mode: SessionMode,
    /// How long a request waits for a server that is being started again before it is refused. Longer than the first pauses before
    /// a restart, and shorter than the time after which clients give up by themselves.
    pub restart_wait: Duration,
    /// Which tools clients see and call, and how often. By default all, and without a limit.
    pub tools: ToolRules,
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
            session_reclaim_after: Duration::from_secs(5),
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
            max_streams: 256,
            max_listens: 64,
            event_store_events: 1000,
            event_store_bytes: 8 * MIB,
            event_store_age: Duration::from_mins(5),
            retry: Duration::from_secs(1),
            call_timeout_max: Duration::from_hours(1),
            replay_initialize: false,
            era_bridge: true,
            era_is_remembered: false,
            max_bridged_servers: 8,
            max_parked_calls: 64,
            parked_call_age: Duration::from_mins(10),
            session_mode: SessionMode::PerSession,
            restart_wait: Duration::from_secs(10),
            tools: ToolRules::default(),
        }
    }
}
