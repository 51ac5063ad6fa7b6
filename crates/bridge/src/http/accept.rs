//! What a client can take.

use http::HeaderValue;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Accept {
    pub(crate) json: bool,
    pub(crate) events: bool,
}

impl Accept {
    /// A client that says nothing takes everything.
    pub(crate) fn read<'h>(values: impl IntoIterator<Item = &'h HeaderValue>) -> Self {
        let mut accept = Self { json: false, events: false };
        let mut said = false;
        for value in values {
            said = true;
            for range in value.to_str().unwrap_or_default().split(',') {
                let mut parts = range.split(';').map(str::trim_ascii);
                let kind = parts.next().unwrap_or_default();
                let refused = parts.any(|part| matches!(part, "q=0" | "q=0.0" | "q=0.00" | "q=0.000"));
                let is =
                    |names: [&str; 3]| !refused && names.iter().any(|name| name.eq_ignore_ascii_case(kind));
                accept.json |= is(["application/json", "application/*", "*/*"]);
                accept.events |= is(["text/event-stream", "text/*", "*/*"]);
            }
        }
        if said { accept } else { Self { json: true, events: true } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accept(value: &'static str) -> Accept {
        Accept::read([&HeaderValue::from_static(value)])
    }

    #[test]
    fn wildcards_parameters_and_refusals_are_understood() {
        assert_eq!(accept("application/json, text/event-stream"), Accept { json: true, events: true });
        assert_eq!(accept("*/*"), Accept { json: true, events: true });
        assert_eq!(accept("Application/JSON;q=0.5"), Accept { json: true, events: false });
        assert_eq!(accept("text/event-stream, application/json;q=0"), Accept { json: false, events: true });
        assert_eq!(accept("text/html"), Accept { json: false, events: false });
        assert_eq!(Accept::read([]), Accept { json: true, events: true });
    }
}
