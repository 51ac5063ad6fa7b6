//! `/instances`: one file per operation.

pub(crate) mod bulk;
pub(crate) mod delete;
pub(crate) mod events;
pub(crate) mod expire;
pub(crate) mod export;
pub(crate) mod extend;
pub(crate) mod get;
pub(crate) mod launch;
pub(crate) mod list;
pub(crate) mod logs;
pub(crate) mod patch;
pub(crate) mod renew;
pub(crate) mod restart;
pub(crate) mod restore;
pub(crate) mod revoke_token;
pub(crate) mod rotate_token;
pub(crate) mod stats;
pub(crate) mod stop;
