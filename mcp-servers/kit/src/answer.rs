//! An answer that says yes.

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde::de::DeserializeOwned;

use crate::failure::{Code, Failure};
use crate::page;

/// A service's answer with a status of success, its body read.
#[derive(Debug, Clone)]
pub struct Response {
    pub(crate) service: &'static str,
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) read_bytes: u64,
    pub(crate) is_cut: bool,
    pub(crate) is_from_cache: bool,
}

impl Response {
    /// The status.
    pub fn status(&self) -> u16 {
        self.status.as_u16()
    }

    /// A header's text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The body, or the part of it that was asked for.
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// How many bytes of body the service sent, as far as it was read.
    pub fn read_bytes(&self) -> u64 {
        self.read_bytes
    }

    /// Whether the body is a part only.
    pub fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// Whether the service said that what it had answered before still holds.
    pub fn is_from_cache(&self) -> bool {
        self.is_from_cache
    }

    /// The body as text; what is no UTF-8 is replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as a value.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        serde_json::from_slice(&self.body).map_err(|error| {
            Failure::new(
                Code::UnexpectedAnswer,
                format!("{} answered something that this server does not understand: {error}.", self.service),
            )
            .with_status(self.status())
        })
    }

    /// The address in the `Link` header for a relation, like `next`.
    pub fn link(&self, relation: &str) -> Option<url::Url> {
        page::link(&self.headers, relation)
    }

    /// The number of the next page, by the `Link` header.
    pub fn next_page(&self) -> Option<u32> {
        self.link("next").as_ref().and_then(page::page_of)
    }

    /// A list's page, numbered by the `Link` header.
    pub fn page<T: DeserializeOwned>(&self) -> Result<page::Page<T>, Failure> {
        Ok(page::Page { items: self.json()?, next_page: self.next_page() })
    }
}
