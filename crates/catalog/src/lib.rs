//! Server types as data: what they are, whether they are sound, what they run. Never knows users or processes.
//!
//! ```text
//! manifest ─ parse_manifest ─► TypeSpec ─ validate ─► kept
//!                                 │
//! given config ─── merge_config ──┤
//! given secrets ─ check_credentials
//!                                 ├─ validation ─► a request to the service that a credential is for
//!                                 └─ render ─► Rendered: program, arguments, environment, address, headers
//!
//! what others wrote about a server ─ import ─► Proposal ─ into_spec ─► TypeSpec
//! what its servers list ─ offer ─► tools with hashes, findings, differences from what was approved
//! ```
//!
//! - Nothing is run through a shell: what a template yields is one argument or one value, whatever is in it.
//! - A credential reaches the environment, the headers of requests, or a file or descriptor of its own: never an argument
//!   or an address.
//! - No message repeats a credential's value.
//! - Everything that is wrong is reported at once.

pub mod config;
pub mod confinement;
pub mod credentials;
pub mod import;
pub mod login;
pub mod manifest;
pub mod names;
pub mod offer;
pub mod package;
pub mod problem;
pub mod render;
pub mod spec;
pub mod validation;

#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;

mod address;
mod template;
mod validate;

pub use config::merge_config;
pub use confinement::{ConfigPath, Size, TypeConfinement, config_paths};
pub use credentials::check_credentials;
pub use login::{Login, LoginSlots};
pub use manifest::{ManifestError, parse_manifest};
pub use names::{is_code_name, is_reserved_name};
pub use offer::{Differences, Offer, OfferedTool};
pub use package::PackageUse;
pub use problem::Problem;
pub use render::{Facts, Rendered, render};
pub use spec::{Author, Kind, ResourceLimits, Slot, SlotKind, TypeSpec};
pub use validation::{Pieces, Shown, TokenExchange, Validation, ValidationMethod};
