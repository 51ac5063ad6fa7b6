//! Ten servers of public registries: the one command that makes a type of each, and calls whose answers are known. None
//! needs a network to answer.

/// A server of a public registry.
pub(crate) struct Public {
    /// What `roadstead types add` is given.
    pub(crate) source: &'static str,
    pub(crate) options: &'static [&'static str],
    /// What the type is called.
    pub(crate) name: &'static str,
    /// How it is spoken to, for the table.
    pub(crate) transport: &'static str,
    /// A slot and what it is given, where it does not start without one.
    pub(crate) secret: Option<(&'static str, &'static str)>,
    pub(crate) calls: &'static [Call],
}

/// A call, and a text that only its right answer holds.
pub(crate) struct Call {
    pub(crate) tool: &'static str,
    /// JSON; `{dir}` is the instance's own folder.
    pub(crate) arguments: &'static str,
    pub(crate) says: &'static str,
}

const fn call(tool: &'static str, arguments: &'static str, says: &'static str) -> Call {
    Call { tool, arguments, says }
}

/// A configuration that opens nothing.
const KUBECONFIG: &str = "\
apiVersion: v1
kind: Config
current-context: quay
contexts: [{name: quay, context: {cluster: harbour, user: pilot}}]
clusters: [{name: harbour, cluster: {server: \"https://127.0.0.1:9\"}}]
users: [{name: pilot, user: {token: opens-nothing}}]
";

const STDIO: &str = "stdio";
const HTTP: &str = "Streamable HTTP of its own";

/// Speaks HTTP itself, on all interfaces: the command says what an administrator has to say then.
pub(crate) const EVERYTHING: Public = Public {
    source: "npm:@modelcontextprotocol/server-everything@2026.8.31",
    options: &[
        "--arg",
        "streamableHttp",
        "--env",
        "PORT=${port}",
        "--http",
        "http://localhost:${port}/mcp",
        "--any-interface",
    ],
    name: "everything",
    transport: HTTP,
    secret: None,
    calls: &[call("get-sum", r#"{"a": 19, "b": 23}"#, "The sum of 19 and 23 is 42.")],
};

/// Keeps what it is told in a file that a variable names.
pub(crate) const MEMORY: Public = Public {
    source: "npm:@modelcontextprotocol/server-memory@2026.8.31",
    options: &["--env", "MEMORY_FILE_PATH=${dir}/memory.jsonl"],
    name: "memory",
    transport: STDIO,
    secret: None,
    calls: &[
        call(
            "create_entities",
            r#"{"entities": [{"name": "berth 7", "entityType": "berth", "observations": ["deep enough"]}]}"#,
            "berth 7",
        ),
        call("search_nodes", r#"{"query": "berth"}"#, "deep enough"),
    ],
};

pub(crate) const CALCULATOR: Public = Public {
    source: "pypi:mcp-server-calculator@0.2.1",
    options: &[],
    name: "calculator",
    transport: STDIO,
    secret: None,
    calls: &[call("calculate", r#"{"expression": "(19 + 23) * 2"}"#, "84")],
};

/// All ten.
pub(crate) const ALL: [Public; 10] = [
    EVERYTHING,
    MEMORY,
    Public {
        source: "npm:@modelcontextprotocol/server-filesystem@2026.8.31",
        options: &["--arg", "${dir}"],
        name: "filesystem",
        transport: STDIO,
        secret: None,
        calls: &[
            call(
                "write_file",
                r#"{"path": "{dir}/note.txt", "content": "moored at 04:17"}"#,
                "Successfully wrote",
            ),
            call("read_text_file", r#"{"path": "{dir}/note.txt"}"#, "moored at 04:17"),
        ],
    },
    Public {
        source: "npm:@modelcontextprotocol/server-sequential-thinking@2026.8.31",
        options: &[],
        name: "sequential-thinking",
        transport: STDIO,
        secret: None,
        calls: &[call(
            "sequentialthinking",
            r#"{"thought": "Moor first.", "nextThoughtNeeded": true, "thoughtNumber": 1, "totalThoughts": 7}"#,
            "\"totalThoughts\": 7",
        )],
    },
    Public {
        source: "npm:@modelcontextprotocol/server-pdf@2.0.4",
        options: &["--arg", "--stdio"],
        name: "pdf",
        transport: STDIO,
        secret: None,
        calls: &[call("list_pdfs", "{}", "Any remote PDF accessible via HTTPS")],
    },
    // A Go program: its package has one for each kind of machine, and a script that starts the right one.
    Public {
        source: "npm:kubernetes-mcp-server@0.0.67",
        options: &["--secret-file", "KUBECONFIG"],
        name: "kubernetes",
        transport: STDIO,
        secret: Some(("kubeconfig", KUBECONFIG)),
        calls: &[call("configuration_view", "{}", "harbour")],
    },
    Public {
        source: "pypi:mcp-server-time@2026.10.19",
        options: &["--arg", "--local-timezone", "--arg", "Europe/Lisbon"],
        name: "time",
        transport: STDIO,
        secret: None,
        calls: &[call(
            "convert_time",
            r#"{"source_timezone": "Asia/Tokyo", "time": "16:30", "target_timezone": "Asia/Kolkata"}"#,
            "13:00:00+05:30",
        )],
    },
    CALCULATOR,
    Public {
        source: "pypi:mcp-server-motherduck@1.1.0",
        options: &[
            "--arg",
            "--transport",
            "--arg",
            "http",
            "--arg",
            "--port",
            "--arg",
            "${port}",
            "--arg",
            "--db-path",
            "--arg",
            ":memory:",
            "--arg",
            "--read-write",
            "--http",
            "http://127.0.0.1:${port}/mcp",
        ],
        name: "motherduck",
        transport: HTTP,
        secret: None,
        calls: &[call("execute_query", r#"{"sql": "select 19 + 23 as berths"}"#, "42")],
    },
    Public {
        source: "pypi:excel-mcp-server@2.2.2",
        options: &[
            "--arg",
            "streamable-http",
            "--arg",
            "--port",
            "--arg",
            "${port}",
            "--env",
            "EXCEL_FILES_PATH=${dir}",
            "--http",
            "http://127.0.0.1:${port}/mcp",
        ],
        name: "excel",
        transport: HTTP,
        secret: None,
        calls: &[
            call("create_workbook", r#"{"path": "tides.xlsx"}"#, "tides.xlsx"),
            call(
                "write_range",
                r#"{"path": "tides.xlsx", "sheet": "Sheet1", "at": "A1", "rows": [["Lisboa", "04:17"]]}"#,
                "A1",
            ),
            call("read_range", r#"{"path": "tides.xlsx", "sheet": "Sheet1"}"#, "Lisboa"),
        ],
    },
];
