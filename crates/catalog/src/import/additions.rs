//! What an administrator knows of a server beyond what is written about it: how it is told its port, which variables it
//! wants, and which of them are secrets. The templates are the administrator's own, and nothing in them is escaped.

use std::collections::BTreeMap;

use roadstead_model::Transport;

use super::draft::ANY_PROGRAM;
use super::{Proposal, naming};
use crate::problem::{Problem, none_of};
use crate::spec::{Slot, SlotKind};

/// What is added to a proposal.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Additions {
    /// Arguments behind those of the document.
    pub args: Vec<String>,
    /// Variables and their templates, over those of the document.
    pub env: BTreeMap<String, String>,
    /// Variables that hold a secret of each user.
    pub secrets: Vec<String>,
    /// Variables that hold the path of a file with a secret of each user.
    pub secret_files: Vec<String>,
    /// Where it answers, if it speaks HTTP itself.
    pub url: Option<String>,
    /// How it is spoken to; Streamable HTTP, if only an address is named.
    pub transport: Option<Transport>,
    /// Whether it may listen on more than the loopback address.
    pub allow_any_interface: bool,
}

impl Proposal {
    /// Adds these, and looks for mistakes in what came of it, so that nothing is fetched for a type that cannot be.
    pub fn add(&mut self, additions: Additions) -> Result<(), Vec<Problem>> {
        let mut problems = Vec::new();
        let spec = &mut self.spec;
        spec.args.extend(additions.args);
        spec.env.extend(additions.env);
        if additions.url.is_some() {
            spec.url = additions.url;
            if spec.transport == Transport::Stdio {
                spec.transport = Transport::StreamableHttp;
            }
        }
        spec.transport = additions.transport.unwrap_or(spec.transport);
        spec.allow_any_interface |= additions.allow_any_interface;
        let values = additions.secrets.into_iter().map(|name| (name, SlotKind::Text, "secrets"));
        let files =
            additions.secret_files.into_iter().map(|name| (name, SlotKind::Multiline, "secret_files"));
        for (name, kind, field) in values.chain(files) {
            if let Err(message) = self.add_secret(&name, kind) {
                problems.push(Problem::new(field, message));
            }
        }
        // A program that the document names may be a bare name still.
        if self.install.is_some() {
            let mut whole = self.clone();
            whole.approve();
            problems.extend(whole.into_spec(ANY_PROGRAM, &[]).err().unwrap_or_default());
        }
        none_of(problems)
    }

    /// Makes a slot for a variable, which gets its value or the path of a file with it.
    fn add_secret(&mut self, variable: &str, kind: SlotKind) -> Result<(), String> {
        let spec = &mut self.spec;
        if spec.env.contains_key(variable) {
            return Err(format!("{variable:?} has a value already"));
        }
        let name = naming::key_name(variable);
        if spec.credential_slots.iter().any(|slot| slot.name == name) {
            return Err(format!("there is a slot {name:?} already"));
        }
        let source = if kind == SlotKind::Multiline { "credential_file" } else { "credential" };
        spec.env.insert(variable.to_owned(), format!("${{{source}.{name}}}"));
        spec.credential_slots.push(Slot {
            name,
            label: variable.to_owned(),
            description: None,
            secret: true,
            required: true,
            pattern: None,
            kind,
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::propose_package;
    use super::*;

    fn proposal() -> Proposal {
        propose_package("npm:@acme/server-x@1.2.3".parse().unwrap())
    }

    #[test]
    fn an_address_and_a_variable_for_the_port_make_a_server_that_speaks_http() {
        let mut proposal = proposal();
        let additions = Additions {
            args: vec!["http".to_owned()],
            env: BTreeMap::from([("PORT".to_owned(), "${port}".to_owned())]),
            url: Some("http://localhost:${port}/mcp".to_owned()),
            allow_any_interface: true,
            ..Additions::default()
        };
        proposal.add(additions).unwrap();
        let spec = proposal.into_spec("/usr/bin/node", &["/x.js".to_owned()]).unwrap();
        assert_eq!(
            (spec.transport, &*spec.args),
            (Transport::StreamableHttp, &["/x.js".to_owned(), "http".to_owned()][..])
        );
        assert!(spec.allow_any_interface);
    }

    #[test]
    fn secrets_become_slots_and_reach_their_variables() {
        let mut proposal = proposal();
        let additions = Additions {
            secrets: vec!["X_TOKEN".to_owned()],
            secret_files: vec!["X_KEY_FILE".to_owned()],
            ..Additions::default()
        };
        proposal.add(additions.clone()).unwrap();
        assert_eq!(proposal.spec.env["X_TOKEN"], "${credential.x_token}");
        assert_eq!(proposal.spec.env["X_KEY_FILE"], "${credential_file.x_key_file}");
        let kinds: Vec<_> =
            proposal.spec.credential_slots.iter().map(|slot| (&*slot.name, slot.kind)).collect();
        assert_eq!(kinds, [("x_token", SlotKind::Text), ("x_key_file", SlotKind::Multiline)]);
        assert_eq!(proposal.add(additions).unwrap_err().len(), 2, "each has its value already");
    }

    #[test]
    fn mistakes_are_told_before_anything_is_fetched() {
        for (additions, field) in [
            (Additions { url: Some("http://example.com/mcp".to_owned()), ..Additions::default() }, "url"),
            (Additions { transport: Some(Transport::Sse), ..Additions::default() }, "url"),
            (Additions { secrets: vec!["HOME".to_owned()], ..Additions::default() }, "env.HOME"),
            (Additions { args: vec!["${nothing}".to_owned()], ..Additions::default() }, "args[0]"),
        ] {
            let problems = proposal().add(additions.clone()).unwrap_err();
            assert!(problems.iter().any(|problem| problem.field == field), "{additions:?}: {problems:?}");
        }
    }
}
