//! What handlers are given: a caller, a body's fields, a query's fields, an id.

pub(crate) mod acting;
pub(crate) mod body;
pub(crate) mod caller;
pub(crate) mod fields;
pub(crate) mod query;
pub(crate) mod version;

pub(crate) use body::{JsonBody, OptionalBody};
pub(crate) use caller::{Authenticated, NotLetIn, authenticate};
pub(crate) use query::{PathId, PathIds, PathName, QueryFields};
pub(crate) use version::{Tagged, if_match, tagged};
