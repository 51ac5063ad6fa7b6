//! How the server is reached: program or address, headers, and what only an administrator may allow.

use std::collections::HashSet;

use roadstead_model::{Era, SessionMode};

use super::{Check, Credentials, MAX_PATH, MAX_TEMPLATES};
use crate::address;
use crate::spec::{Author, Kind};
use crate::template::{Placeholder, Template};

impl Check<'_> {
    pub(super) fn reach(&mut self) {
        let spec = self.spec;
        let kind = spec.kind();
        if spec.program.is_none() && kind == Kind::Stdio {
            let rule =
                "is required; a remote server has none, but a `url` and a `transport` that is not stdio";
            self.report("program", rule);
        }
        self.url(kind);
        self.headers(kind);
        self.allowed(kind);
        if kind == Kind::Remote {
            self.remote_has_no_process();
        }
        if spec.session_mode == SessionMode::Shared && spec.era == Era::Modern {
            let rule = "`shared` is for servers with sessions; one of the era `modern` has none";
            self.report("session_mode", rule);
        }
    }

    fn url(&mut self, kind: Kind) {
        let Some(text) = &self.spec.url else {
            if kind != Kind::Stdio {
                self.report("url", "is required for a server that speaks HTTP");
            }
            return;
        };
        let before = self.problems.len();
        self.template("url", text, Credentials::Refused);
        if text.len() > MAX_PATH {
            self.report("url", "must be at most 1024 bytes");
        }
        // One problem of an address is enough: the rest would follow from it.
        let Ok(template) = Template::parse(text) else { return };
        if self.problems.len() > before {
            return;
        }
        if let Err(message) = address::check_template(kind, text, &template, self.spec.allow_private) {
            self.report("url", message);
        } else if kind == Kind::LocalHttp && !self.tells_port() {
            let rule = "holds the port that is chosen at launch; pass `${port}` on in `args` or `env` as well, or \
                        the server cannot know it";
            self.report("url", rule);
        }
    }

    /// Whether an argument or a variable tells the server its port.
    fn tells_port(&self) -> bool {
        self.spec.args.iter().chain(self.spec.env.values()).any(|text| {
            Template::parse(text).is_ok_and(|template| {
                template.placeholders().any(|placeholder| *placeholder == Placeholder::Port)
            })
        })
    }

    fn headers(&mut self, kind: Kind) {
        let spec = self.spec;
        if kind == Kind::Stdio && !spec.headers.is_empty() {
            let rule = "belong to servers that speak HTTP; pass secrets to this one in `env`";
            self.report("headers", rule);
        }
        if spec.headers.len() > MAX_TEMPLATES {
            self.report("headers", format!("has more than {MAX_TEMPLATES} entries"));
        }
        let mut names = HashSet::new();
        for (name, text) in &spec.headers {
            let field = format!("headers.{}", name.escape_debug());
            if let Err(message) = address::check_header_name(name) {
                self.report(&field, message);
            }
            if !names.insert(name.to_ascii_lowercase()) {
                self.report(&field, "is given twice: names of headers do not differ by case");
            }
            self.template(&field, text, Credentials::Allowed);
        }
    }

    fn allowed(&mut self, kind: Kind) {
        let switches = [
            (
                "allow_private",
                self.spec.allow_private,
                Kind::Remote,
                "a remote server, which has no `program`",
            ),
            (
                "allow_any_interface",
                self.spec.allow_any_interface,
                Kind::LocalHttp,
                "a server with `program` and `url`",
            ),
        ];
        for (field, on, of, whose) in switches {
            if on && self.author != Author::Admin {
                self.report(field, "may be set by an administrator only");
            }
            if on && kind != of {
                self.report(field, format!("means nothing here: it is for {whose}"));
            }
        }
    }

    fn remote_has_no_process(&mut self) {
        let spec = self.spec;
        let given = [
            ("args", !spec.args.is_empty()),
            ("env", !spec.env.is_empty()),
            ("working_dir", spec.working_dir.is_some()),
        ];
        for (field, given) in given {
            if given {
                self.report(field, "belongs to a program, and a remote server has none here");
            }
        }
    }
}

#[cfg(test)]
mod tests;
