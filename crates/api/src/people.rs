//! `/me`, `/users`, `/organizations`, `/invitations` and `/projects`: people, and what they share.

pub(crate) mod export;
mod fields;
pub(crate) mod me;
pub(crate) mod members;
pub(crate) mod organizations;
pub(crate) mod project_types;
pub(crate) mod projects;
pub(crate) mod users;
