//! An answer that says no, before it is explained.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, Method, StatusCode, header};
use serde_json::Value;

use crate::failure::{Code, Failure};

/// The longest part of a service's own words that is passed on.
const LONGEST_WORDS: usize = 2000;

/// An answer with a status that is no success.
#[derive(Debug)]
pub struct Refusal<'a> {
    /// The service's name.
    pub service: &'static str,
    /// What was asked.
    pub method: &'a Method,
    /// Of what: the path without its query.
    pub path: &'a str,
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: &'a HeaderMap,
    /// The body, if it is JSON.
    pub json: Option<Value>,
    /// The body's text.
    pub text: &'a str,
}

impl Refusal<'_> {
    /// A header's text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// After how long the service wants to be asked again (`Retry-After`, in seconds or as a date).
    pub fn retry_after(&self) -> Option<Duration> {
        let text = self.header(header::RETRY_AFTER.as_str())?.trim();
        if let Ok(seconds) = text.parse() {
            return Some(Duration::from_secs(seconds));
        }
        let then = httpdate::parse_http_date(text).ok()?;
        Some(then.duration_since(self.server_time()?).unwrap_or_default())
    }

    /// How long it is until a moment that a header gives in seconds since 1970, by the service's own clock.
    pub fn time_until(&self, name: &str) -> Option<Duration> {
        let then = SystemTime::UNIX_EPOCH + Duration::from_secs(self.header(name)?.trim().parse().ok()?);
        Some(then.duration_since(self.server_time()?).unwrap_or_default())
    }

    fn server_time(&self) -> Option<SystemTime> {
        httpdate::parse_http_date(self.header(header::DATE.as_str())?).ok()
    }

    /// The service's own words: the usual fields of a JSON body, or the text if it is short.
    pub fn words(&self) -> Option<String> {
        let told = match &self.json {
            Some(json) => {
                ["/message", "/error/message", "/err", "/error_description", "/error", "/detail", "/title"]
                    .iter()
                    .find_map(|pointer| json.pointer(pointer)?.as_str())
            }
            None => Some(self.text).filter(|text| !text.trim_start().starts_with('<')),
        };
        let told = told?.trim();
        (!told.is_empty()).then(|| told.chars().take(LONGEST_WORDS).collect())
    }

    /// What failed and why, as the first sentence of a failure: `GitHub refused GET /repos/a/b: Not Found (404).`
    pub fn sentence(&self) -> String {
        let status = self.status.as_u16();
        let words = self
            .words()
            .or_else(|| self.status.canonical_reason().map(str::to_owned))
            .unwrap_or_else(|| "no reason given".to_owned());
        let words = words.trim_end_matches('.');
        format!("{} refused {} {}: {words} ({status}).", self.service, self.method, self.path)
    }

    /// The failure that the status alone gives, without advice.
    pub fn to_failure(&self) -> Failure {
        let status = self.status.as_u16();
        let code = match status {
            400 | 422 => Code::InvalidInput,
            401 => Code::Unauthorized,
            403 => Code::Forbidden,
            404 | 410 => Code::NotFound,
            405 | 409 | 412 | 423 => Code::Conflict,
            408 | 504 => Code::Timeout,
            413 => Code::TooLarge,
            429 => Code::RateLimited,
            500..=599 => Code::Unavailable,
            _ => Code::Refused,
        };
        let failure = Failure::new(code, self.sentence()).with_status(status);
        match status {
            429 => failure.with_retry_after(self.retry_after()),
            502..=504 => failure.may_pass(self.retry_after()),
            _ => failure,
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn refusal<'a>(status: u16, headers: &'a HeaderMap, text: &'a str) -> Refusal<'a> {
        Refusal {
            service: "Books",
            method: &Method::GET,
            path: "/books/1",
            status: StatusCode::from_u16(status).unwrap(),
            headers,
            json: serde_json::from_str(text).ok(),
            text,
        }
    }

    #[test]
    fn the_services_own_words_are_found() {
        let none = HeaderMap::new();
        for (text, words) in [
            (r#"{"message":"Not Found"}"#, Some("Not Found")),
            (r#"{"error":{"code":403,"message":"No scope"}}"#, Some("No scope")),
            (r#"{"error":"invalid_grant","error_description":"Expired"}"#, Some("Expired")),
            (r#"{"status":404,"err":"Missing"}"#, Some("Missing")),
            ("plain words", Some("plain words")),
            ("<html>", None),
            ("{}", None),
        ] {
            assert_eq!(refusal(404, &none, text).words().as_deref(), words, "{text}");
        }
        assert_eq!(refusal(404, &none, "{}").sentence(), "Books refused GET /books/1: Not Found (404).");
    }

    #[test]
    fn waits_are_told_by_the_services_clock() {
        let date = "Wed, 21 Oct 2015 07:28:00 GMT";
        let mut headers = HeaderMap::from_iter([(header::DATE, HeaderValue::from_static(date))]);
        headers.insert(header::RETRY_AFTER, HeaderValue::from_static("Wed, 21 Oct 2015 07:29:30 GMT"));
        headers.insert("x-reset", HeaderValue::from_static("1445412540"));
        let refused = refusal(429, &headers, "");
        assert_eq!(refused.retry_after(), Some(Duration::from_secs(90)));
        assert_eq!(refused.time_until("x-reset"), Some(Duration::from_mins(1)));
        headers.insert(header::RETRY_AFTER, HeaderValue::from_static("7"));
        assert_eq!(refusal(429, &headers, "").to_failure().retry_after(), Some(Duration::from_secs(7)));
    }
}
