//! What either side can do, in the words of the other era.

use super::json::{Object, Writer, quoted};

/// The extension that took the place of the tasks of the core; the two do not fit each other.
const TASKS_EXTENSION: &str = "io.modelcontextprotocol/tasks";

/// What a client takes of a server's requests.
#[expect(clippy::struct_excessive_bools, reason = "each is a capability of its own in the protocol")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Can {
    sampling: bool,
    form: bool,
    url: bool,
    roots: bool,
}

impl Can {
    pub(super) fn read(capabilities: &str) -> Self {
        let all = Object::read(capabilities).unwrap_or_default();
        let elicitation = all.get("elicitation").and_then(|raw| Object::read(raw.get()));
        Self {
            sampling: all.has("sampling"),
            // An empty object has always meant forms.
            form: elicitation.as_ref().is_some_and(|modes| modes.has("form") || !modes.has("url")),
            url: elicitation.as_ref().is_some_and(|modes| modes.has("url")),
            roots: all.has("roots"),
        }
    }

    /// Whether the client takes this request; if not, the capability it lacks, as JSON.
    pub(super) fn takes(self, method: &str, params: &Object<'_>) -> Result<(), Lacking> {
        let (able, lacking) = match method {
            "sampling/createMessage" => (self.sampling, r#"{"sampling":{}}"#),
            "roots/list" => (self.roots, r#"{"roots":{}}"#),
            "elicitation/create" if params.text("mode").as_deref() == Some("url") => {
                (self.url, r#"{"elicitation":{"url":{}}}"#)
            }
            "elicitation/create" => (self.form, r#"{"elicitation":{}}"#),
            _ => return Err(Lacking::NoSuchRequest),
        };
        if able { Ok(()) } else { Err(Lacking::Capability(lacking)) }
    }
}

/// Why a client cannot be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lacking {
    /// It never said that it can; the capability as JSON.
    Capability(&'static str),
    /// No client of the other era knows this request.
    NoSuchRequest,
}

/// A client's capabilities for a server of the other era. Both eras name them alike; only what one of them does not have is
/// left out: tasks, and that the list of roots may change.
pub(super) fn of_client(capabilities: &str) -> String {
    let all = Object::read(capabilities).unwrap_or_default();
    let mut out = Writer::default();
    for (name, value) in all.members() {
        match name {
            "tasks" => {}
            "roots" => {
                let roots = Object::read(value).unwrap_or_default().kept(|name| name != "listChanged");
                out.raw(name, &roots.object());
            }
            "extensions" => add_extensions(&mut out, value),
            _ => {
                out.raw(name, value);
            }
        }
    }
    out.object()
}

/// A server's capabilities for a client of the other era.
pub(super) fn of_server(capabilities: &str) -> String {
    let all = Object::read(capabilities).unwrap_or_default();
    let mut out = Writer::default();
    for (name, value) in all.members() {
        match name {
            "tasks" => {}
            "extensions" => add_extensions(&mut out, value),
            _ => {
                out.raw(name, value);
            }
        }
    }
    out.object()
}

fn add_extensions(out: &mut Writer, value: &str) {
    let kept = Object::read(value).unwrap_or_default().kept(|name| name != TASKS_EXTENSION);
    if !kept.is_empty() {
        out.raw("extensions", &kept.object());
    }
}

/// What a server may tell of by itself.
#[expect(clippy::struct_excessive_bools, reason = "each is a capability of its own in the protocol")]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Changes {
    pub(super) tools: bool,
    pub(super) prompts: bool,
    pub(super) resources: bool,
    /// Whether single resources can be subscribed to.
    pub(super) subscribe: bool,
    pub(super) logging: bool,
}

impl Changes {
    pub(super) fn read(capabilities: &str) -> Self {
        let all = Object::read(capabilities).unwrap_or_default();
        let tells = |of: &str, what: &str| Object::of(all.get(of)).is_true(what);
        Self {
            tools: tells("tools", "listChanged"),
            prompts: tells("prompts", "listChanged"),
            resources: tells("resources", "listChanged"),
            subscribe: tells("resources", "subscribe"),
            logging: all.has("logging"),
        }
    }

    pub(super) fn any_list(self) -> bool {
        self.tools || self.prompts || self.resources
    }

    /// As the filter of a subscription, with these resources.
    pub(super) fn filter(self, resources: &[String]) -> String {
        let mut out = Writer::default();
        for (name, wanted) in [
            ("toolsListChanged", self.tools),
            ("promptsListChanged", self.prompts),
            ("resourcesListChanged", self.resources),
        ] {
            if wanted {
                out.raw(name, "true");
            }
        }
        if !resources.is_empty() {
            let list: Vec<_> = resources.iter().map(|uri| quoted(uri)).collect();
            out.raw("resourceSubscriptions", &format!("[{}]", list.join(",")));
        }
        out.object()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_other_era_does_not_have_is_left_out() {
        assert_eq!(
            of_client(
                r#"{"roots":{"listChanged":true},"sampling":{"tools":{}},"tasks":{},"extensions":{"io.modelcontextprotocol/tasks":{},"x/y":{}}}"#
            ),
            r#"{"roots":{},"sampling":{"tools":{}},"extensions":{"x/y":{}}}"#
        );
        assert_eq!(
            of_server(
                r#"{"tasks":{"list":{}},"tools":{"listChanged":true},"extensions":{"io.modelcontextprotocol/tasks":{}}}"#
            ),
            r#"{"tools":{"listChanged":true}}"#
        );
    }

    #[test]
    fn an_empty_elicitation_capability_means_forms() {
        let form = Object::read(r#"{"message":"?"}"#).unwrap();
        let url = Object::read(r#"{"mode":"url"}"#).unwrap();
        let plain = Can::read(r#"{"elicitation":{}}"#);
        assert_eq!(plain.takes("elicitation/create", &form), Ok(()));
        assert!(plain.takes("elicitation/create", &url).is_err());
        let only_url = Can::read(r#"{"elicitation":{"url":{}}}"#);
        assert_eq!(only_url.takes("elicitation/create", &url), Ok(()));
        assert!(only_url.takes("elicitation/create", &form).is_err());
        assert_eq!(plain.takes("tasks/get", &form), Err(Lacking::NoSuchRequest));
    }
}
