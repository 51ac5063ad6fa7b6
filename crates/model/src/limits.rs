//! Limits that several crates share; each has a reason. A setting of the same name overrides those marked so.

use std::time::Duration;

/// Lifetime when a launch names none (setting `mcp.default_duration_minutes`).
pub const DEFAULT_LIFETIME: Duration = Duration::from_hours(1);
/// Live instances of one user (setting `mcp.max_instances_per_user`).
pub const MAX_INSTANCES_PER_USER: u32 = 10;
/// How long a server may take to become ready before its launch fails.
pub const READY_TIMEOUT: Duration = Duration::from_secs(30);
/// One step of the stop ladder: end of input, then SIGTERM, then SIGKILL.
pub const STOP_STEP: Duration = Duration::from_secs(5);
/// How long calls in flight may go on after the deadline.
pub const EXPIRY_GRACE: Duration = Duration::from_secs(5);
/// How long a released port rests, so that a URL still configured somewhere meets nobody else's server.
pub const PORT_QUARANTINE: Duration = Duration::from_mins(1);
/// Longest name of an instance, credential or key: it must fit a table.
pub const MAX_NAME_CHARS: usize = 100;
/// Body limit of the REST API: its largest documents are type definitions.
pub const MAX_API_BODY_BYTES: usize = 4 * 1024 * 1024;
/// Items of one page at most: a page stays below a megabyte.
pub const MAX_PAGE: u32 = 100;
/// Items of one page when none is asked for.
pub const DEFAULT_PAGE: u32 = 20;
/// Lines of a server's standard error kept for a failure message.
pub const STDERR_TAIL_LINES: usize = 20;
/// How long installing a package may take, apart from any launch.
pub const INSTALL_BUDGET: Duration = Duration::from_mins(10);
/// What installing one may take of memory: cargo builds large programs in half of it.
pub const MAX_INSTALL_MEMORY_BYTES: u64 = 4 << 30;
/// What one package with all it needs may take of the disk.
pub const MAX_PACKAGE_BYTES: u64 = 2 << 30;
/// In so many files and folders: ten times what large ones have.
pub const MAX_PACKAGE_FILES: u64 = 200_000;
