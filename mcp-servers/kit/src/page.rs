//! Lists that come in pages.

use http::HeaderMap;
use rmcp::schemars::{self, JsonSchema};
use serde::Serialize;
use url::Url;

/// One page of a list, for services that number their pages.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Page<T> {
    /// What is on this page.
    pub items: Vec<T>,
    /// The page to ask for next; nothing, if this was the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_page: Option<u32>,
}

/// The address that a `Link` header gives for a relation.
pub(crate) fn link(headers: &HeaderMap, relation: &str) -> Option<Url> {
    headers.get_all(http::header::LINK).iter().filter_map(|value| value.to_str().ok()).find_map(|links| {
        let mut rest = links;
        while let Some((_, after)) = rest.split_once('<') {
            let (address, after) = after.split_once('>')?;
            let parameters = after.split_once('<').map_or(after, |(parameters, _)| parameters);
            if has_relation(parameters, relation) {
                return Url::parse(address).ok();
            }
            rest = after;
        }
        None
    })
}

fn has_relation(parameters: &str, relation: &str) -> bool {
    parameters.split([';', ',']).filter_map(|parameter| parameter.trim().split_once('=')).any(
        |(name, value)| {
            name.trim().eq_ignore_ascii_case("rel")
                && value.trim().trim_matches('"').split_ascii_whitespace().any(|word| word == relation)
        },
    )
}

/// The number of the page in an address.
pub(crate) fn page_of(url: &Url) -> Option<u32> {
    url.query_pairs().find(|(name, _)| name == "page").and_then(|(_, page)| page.parse().ok())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn next(links: &'static str) -> Option<u32> {
        let headers = HeaderMap::from_iter([(http::header::LINK, HeaderValue::from_static(links))]);
        link(&headers, "next").as_ref().and_then(page_of)
    }

    #[test]
    fn the_next_page_stands_in_a_link() {
        let both =
            r#"<https://a.test/r?page=3&per_page=5>; rel="next", <https://a.test/r?page=9>; rel="last""#;
        assert_eq!(next(both), Some(3));
        assert_eq!(
            next(r#"<https://a.test/r?page=1>; rel="prev", <https://a.test/r?q=a,b&page=3>; rel=next"#),
            Some(3)
        );
        assert_eq!(next(r#"<https://a.test/r?page=1>; rel="first""#), None);
        for broken in
            ["", "<", "<https://a.test?page=2", "https://a.test?page=2; rel=next", "<no url>; rel=next"]
        {
            assert_eq!(next(broken), None, "{broken}");
        }
    }
}
