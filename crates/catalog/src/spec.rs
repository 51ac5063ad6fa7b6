//! What a server type is.

use std::collections::BTreeMap;

use roadstead_model::{Era, RestartFields, RestartMode, Role, SessionMode, Transport};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use crate::confinement::{Size, TypeConfinement};
use crate::login::Login;
use crate::package::PackageUse;
use crate::problem::Problem;
use crate::validation::Validation;

/// A kind of MCP server that may be launched.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "switches of a document, each with a name of its own")]
pub struct TypeSpec {
    /// Unique; small letters, digits and hyphens.
    pub name: String,
    /// What people read.
    pub display_name: String,
    /// What it is good for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// A picture of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub icon_url: Option<String>,
    /// Which release of the server this runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The absolute path of what is run; a remote server has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub program: Option<String>,
    /// Its arguments; each is a template and becomes exactly one argument.
    #[serde(default)]
    pub args: Vec<String>,
    /// Its environment beside what every server gets: name to template.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Where it starts, a template; its own folder if none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub working_dir: Option<String>,
    /// The secrets it needs of each user.
    #[serde(default)]
    pub credential_slots: Vec<Slot>,
    /// How it is found out whether a credential is any good; not at all, if nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation: Option<Validation>,
    /// How a person logs in to get a credential; not at all, if nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub login: Option<Login>,
    /// JSON Schema of its config.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_schema: Option<Value>,
    /// Its config's defaults; what a launch gives is merged over them.
    #[serde(default)]
    pub config_template: Map<String, Value>,
    /// What a user's account with the service must allow, in the service's own words.
    #[serde(default)]
    pub required_scopes: Vec<String>,
    /// What one instance may use of the machine.
    #[serde(default)]
    pub resource_limits: ResourceLimits,
    /// The longest lifetime of an instance.
    #[serde(default = "default_max_duration_minutes")]
    pub max_duration_minutes: u32,
    /// Which protocol revisions it speaks.
    #[serde(default)]
    pub era: Era,
    /// How long it may take to become ready.
    #[serde(default = "default_ready_timeout_s")]
    pub ready_timeout_s: u32,
    /// After how many seconds without a request an instance ends; never, if none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_limit_s: Option<u32>,
    /// Whether its server is started again when it ends unasked.
    #[serde(default)]
    pub restart: RestartMode,
    /// How many restarts within the window are enough.
    #[serde(default = "default_max_restarts")]
    pub max_restarts: u32,
    /// The window's seconds.
    #[serde(default = "default_restart_window_s")]
    pub restart_window_s: u32,
    /// How the bridge speaks to it.
    #[serde(default)]
    pub transport: Transport,
    /// Where it answers, if it speaks HTTP itself: a template over `${port}` for a server that `program` starts,
    /// a whole address for a remote one. Never holds a secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// What every request to such a server carries: name to template.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// What a legacy session has to itself.
    #[serde(default)]
    pub session_mode: SessionMode,
    /// Seconds after which a call without an answer is given up; the setting's, if none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call_timeout_s: Option<u32>,
    /// Seconds up to which progress extends that; the setting's, if none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call_timeout_max_s: Option<u32>,
    /// Whether clients of the era that the server does not speak are translated for. `"on"` and `"off"` are
    /// read as well.
    #[serde(default = "yes", deserialize_with = "on_or_off")]
    pub era_bridge: bool,
    /// Whether a session outlives its server: the handshake is repeated with the next one.
    #[serde(default)]
    pub replay_initialize: bool,
    /// Whether a remote server may be on a loopback, link-local or private address, and be spoken to without TLS.
    #[serde(default)]
    pub allow_private: bool,
    /// Whether a server that speaks HTTP may listen on more than the loopback address.
    #[serde(default)]
    pub allow_any_interface: bool,
    /// Limits by one word, instead of `resource_limits`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<Size>,
    /// What the walls around its servers leave open.
    #[serde(default, skip_serializing_if = "TypeConfinement::is_default")]
    pub confinement: TypeConfinement,
    /// Calls of tools in a minute, of all clients of an instance together; 0 for any number.
    #[serde(default = "default_rate_limit_per_minute")]
    pub rate_limit_per_minute: u32,
    /// Who may launch it, by what they are to their organisation; whoever may launch anything, if nobody is named.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allowed_roles: Vec<Role>,
    /// The package that its program was installed from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub package: Option<PackageUse>,
}

/// Where a type's server is, and how it is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A program on its standard streams.
    Stdio,
    /// A program that speaks HTTP on a port of this machine.
    LocalHttp,
    /// Somebody else's server, by its address.
    Remote,
}

/// One secret value that a type needs of each user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Slot {
    /// Its name in templates and in requests.
    pub name: String,
    /// What a form calls it.
    pub label: String,
    /// Where to get it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Whether a form hides it as it is typed. At rest every slot is sealed.
    #[serde(default = "yes")]
    pub secret: bool,
    /// Whether there is no launch without it.
    #[serde(default = "yes")]
    pub required: bool,
    /// A regular expression that the whole value must match.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pattern: Option<String>,
    /// What its values are.
    #[serde(default, skip_serializing_if = "SlotKind::is_text")]
    pub kind: SlotKind,
}

/// What the values of a slot are, checked when one is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SlotKind {
    /// One line.
    #[default]
    Text,
    /// A web address with http or https.
    Url,
    /// An address of mail.
    Email,
    /// A number in digits.
    Number,
    /// A JSON document in one line.
    Json,
    /// Several lines, like a private key: told by file or descriptor only.
    Multiline,
}

impl SlotKind {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks by reference")]
    fn is_text(&self) -> bool {
        *self == Self::Text
    }
}

/// What one instance may use of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ResourceLimits {
    /// Memory, in mebibytes.
    pub memory_mb: u32,
    /// Processors, in parts of one.
    pub cpu: f64,
    /// Processes and threads.
    pub processes: u32,
    /// Open files of one process.
    pub open_files: u32,
    /// What the instance's own folder may take of the disk, in mebibytes.
    pub disk_mb: u32,
    /// The size of one written file, in mebibytes; as much as the disk limit, if none is named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file_size_mb: Option<u32>,
}

/// Who defines a type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Author {
    /// Trusted with names that make a program run other code.
    Admin,
    /// Not trusted with them.
    User,
}

impl Default for ResourceLimits {
    /// Enough for eight sessions with a server in Node or Python; what is not used costs nothing.
    fn default() -> Self {
        Self {
            memory_mb: 1024,
            cpu: 0.5,
            processes: 256,
            open_files: 1024,
            disk_mb: 10 * 1024,
            file_size_mb: None,
        }
    }
}

impl ResourceLimits {
    /// The size of the largest file that may be written, in mebibytes.
    pub fn largest_file_mb(&self) -> u32 {
        self.file_size_mb.unwrap_or(self.disk_mb)
    }
}

impl TypeSpec {
    /// Whether the type is sound. Reports everything that is wrong.
    pub fn validate(&self, author: Author) -> Result<(), Vec<Problem>> {
        crate::validate::validate(self, author)
    }

    /// Its fields about restarts.
    pub const fn restart_fields(&self) -> RestartFields {
        let (restart, max_restarts, restart_window_s) =
            (self.restart, self.max_restarts, self.restart_window_s);
        RestartFields { restart, max_restarts, restart_window_s }
    }

    /// What one instance may use of the machine.
    pub fn limits(&self) -> ResourceLimits {
        self.size.map_or(self.resource_limits, Size::limits)
    }

    /// The slot of a name.
    pub fn slot(&self, name: &str) -> Option<&Slot> {
        self.credential_slots.iter().find(|slot| slot.name == name)
    }

    /// Names the program by its absolute path, if it is a bare name: a bundled server's manifest cannot know
    /// where it will be installed.
    pub fn place_program_in(&mut self, folder: &str) {
        if let Some(program) = self.program.as_mut().filter(|program| !program.contains('/')) {
            *program = format!("{}/{program}", folder.trim_end_matches('/'));
        }
    }

    /// Where its server is, and how it is reached.
    pub const fn kind(&self) -> Kind {
        match (self.transport, &self.program) {
            (Transport::Stdio, _) => Kind::Stdio,
            (_, Some(_)) => Kind::LocalHttp,
            (_, None) => Kind::Remote,
        }
    }
}

fn default_max_restarts() -> u32 {
    RestartFields::default().max_restarts
}

fn default_restart_window_s() -> u32 {
    RestartFields::default().restart_window_s
}

/// A yes or no, also in the words in which people switch things.
fn on_or_off<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    struct Switch;
    impl serde::de::Visitor<'_> for Switch {
        type Value = bool;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("true, false, \"on\" or \"off\"")
        }

        fn visit_bool<E>(self, value: bool) -> Result<bool, E> {
            Ok(value)
        }

        fn visit_str<E: serde::de::Error>(self, word: &str) -> Result<bool, E> {
            match word {
                "on" => Ok(true),
                "off" => Ok(false),
                other => Err(E::invalid_value(serde::de::Unexpected::Str(other), &self)),
            }
        }
    }
    deserializer.deserialize_any(Switch)
}

const fn yes() -> bool {
    true
}

/// Thirty days, the longest lifetime there is: a type shortens it, none lengthens it.
pub(crate) const fn default_max_duration_minutes() -> u32 {
    30 * 24 * 60
}

/// More than a person's agent needs, and less than one that runs in circles does.
pub(crate) const fn default_rate_limit_per_minute() -> u32 {
    100
}

pub(crate) const fn default_ready_timeout_s() -> u32 {
    30
}
