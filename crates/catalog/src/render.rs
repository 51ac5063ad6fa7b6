//! What a launch runs: templates filled in, one argument and one value each, never through a shell.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use roadstead_model::{InstanceId, Port};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value};

use crate::address;
use crate::names::is_one_line;
use crate::problem::Problem;
use crate::spec::TypeSpec;
use crate::template::{Part, Placeholder, Template};

/// Longest argument or value: half of what the kernel takes as one.
pub const MAX_VALUE_BYTES: usize = 64 * 1024;

/// Where every server finds programs; a type that needs another path says so.
const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin";
/// Any text is UTF-8, and no messages are translated.
const DEFAULT_LANG: &str = "C.UTF-8";

/// What a launch knows that the type cannot.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// Which instance.
    pub instance_id: InstanceId,
    /// The port that a server which speaks HTTP itself is to listen on; of any other, the instance's own.
    pub port: Port,
    /// The instance's own folder, absolute.
    pub dir: &'a str,
    /// The folder in which it finds secrets in files, absolute.
    pub secrets_dir: &'a str,
    /// The descriptor from which it reads the first secret that it is handed that way.
    pub first_descriptor: i32,
}

/// A command line, ready to be run as it is.
#[derive(Debug, Clone)]
pub struct Rendered {
    /// The absolute path of the program; a remote server has none.
    pub program: Option<String>,
    /// Its arguments; none holds a secret.
    pub args: Vec<String>,
    /// Its whole environment; nothing is inherited.
    pub env: BTreeMap<String, SecretString>,
    /// Where it starts.
    pub working_dir: String,
    /// Where it answers, if it speaks HTTP; holds no secret.
    pub url: Option<String>,
    /// The port of that address.
    pub url_port: Option<u16>,
    /// What every request to it carries then.
    pub headers: BTreeMap<String, SecretString>,
    /// The secrets that it finds in files, by their names in the folder of secrets.
    pub files: Vec<(String, SecretString)>,
    /// The secrets that it reads from descriptors, in order.
    pub descriptors: Vec<SecretString>,
    /// The absolute paths that the type itself names in its arguments: nothing of a launch is in them.
    pub named_paths: Vec<String>,
}

/// Fills in the templates of a sound type. Reports everything that is wrong, and no secret.
pub fn render(
    spec: &TypeSpec,
    config: &Map<String, Value>,
    credentials: &BTreeMap<String, SecretString>,
    facts: Facts<'_>,
) -> Result<Rendered, Vec<Problem>> {
    let handed = Handed::of(spec, credentials);
    let filler = Filler { spec, config, credentials, facts, handed };
    let mut problems = Vec::new();
    let args = filler.args(&mut problems);
    let env = filler.env(&mut problems);
    let url = keep(filler.url(), &mut problems).flatten();
    let headers = filler.headers(&mut problems);
    let folder = spec.working_dir.as_deref().unwrap_or("${dir}");
    let working_dir = keep(filler.text("working_dir", folder), &mut problems).flatten().unwrap_or_default();
    if problems.is_empty() {
        let (files, descriptors) = filler.handed.values(credentials);
        let named_paths = named_paths(spec);
        let program = spec.program.clone();
        let url_port = url.as_deref().and_then(address::port);
        Ok(Rendered {
            program,
            args,
            env,
            working_dir,
            url,
            url_port,
            headers,
            files,
            descriptors,
            named_paths,
        })
    } else {
        Err(problems)
    }
}

/// The slots whose values a program finds in files or descriptors, because a template names those.
#[derive(Default)]
struct Handed {
    files: BTreeSet<String>,
    descriptors: BTreeSet<String>,
}

impl Handed {
    fn of(spec: &TypeSpec, credentials: &BTreeMap<String, SecretString>) -> Self {
        let mut handed = Self::default();
        let texts = spec.args.iter().chain(spec.env.values());
        for template in texts.filter_map(|text| Template::parse(text).ok()) {
            for placeholder in template.placeholders() {
                match placeholder {
                    Placeholder::CredentialFile(slot) if credentials.contains_key(slot) => {
                        handed.files.insert(slot.clone());
                    }
                    Placeholder::CredentialDescriptor(slot) if credentials.contains_key(slot) => {
                        handed.descriptors.insert(slot.clone());
                    }
                    _ => {}
                }
            }
        }
        handed
    }

    fn values(
        &self,
        credentials: &BTreeMap<String, SecretString>,
    ) -> (Vec<(String, SecretString)>, Vec<SecretString>) {
        let value = |slot: &String| credentials[slot].clone();
        let files = self.files.iter().map(|slot| (slot.clone(), value(slot)));
        (files.collect(), self.descriptors.iter().map(value).collect())
    }
}

/// Arguments that are absolute paths as the type's author wrote them.
fn named_paths(spec: &TypeSpec) -> Vec<String> {
    let plain = |text: &&String| text.starts_with('/') && !text.contains("${");
    spec.args.iter().filter(plain).cloned().collect()
}

struct Filler<'a> {
    spec: &'a TypeSpec,
    config: &'a Map<String, Value>,
    credentials: &'a BTreeMap<String, SecretString>,
    facts: Facts<'a>,
    handed: Handed,
}

/// What one part of a template became.
enum Filled<'a> {
    Given(Cow<'a, str>),
    /// Optional, and not given.
    Absent,
}

impl<'a> Filler<'a> {
    fn args(&self, problems: &mut Vec<Problem>) -> Vec<String> {
        let mut args: Vec<String> = Vec::with_capacity(self.spec.args.len());
        let mut options_may_follow = true;
        for (index, text) in self.spec.args.iter().enumerate() {
            let field = format!("args[{index}]");
            match keep(self.text(&field, text), problems).flatten() {
                Some(arg) => {
                    let began_as_option = text.starts_with('-');
                    if options_may_follow && arg.starts_with('-') && !began_as_option && !is_number(&arg) {
                        let message =
                            "the config value in it begins with a hyphen and would be read as an option";
                        problems.push(Problem::new(&field, message));
                    }
                    options_may_follow &= text != "--";
                    args.push(arg);
                }
                None if problems.iter().any(|problem| problem.field == field) => {}
                None => problems.push(Problem::new(&field, "needs a config value that is not set")),
            }
        }
        args
    }

    fn env(&self, problems: &mut Vec<Problem>) -> BTreeMap<String, SecretString> {
        let own = |(name, value): (&str, &str)| (name.to_owned(), SecretString::from(value));
        let dir = self.facts.dir;
        let every = [("PATH", DEFAULT_PATH), ("HOME", dir), ("TMPDIR", dir), ("LANG", DEFAULT_LANG)];
        let mut env: BTreeMap<String, SecretString> = every.map(own).into();
        for (name, text) in &self.spec.env {
            if let Some(value) = self.line(format!("env.{name}"), text, problems) {
                env.insert(name.clone(), value);
            }
        }
        env
    }

    fn headers(&self, problems: &mut Vec<Problem>) -> BTreeMap<String, SecretString> {
        let given = self.spec.headers.iter();
        given
            .filter_map(|(name, text)| {
                Some((name.clone(), self.line(format!("headers.{name}"), text, problems)?))
            })
            .collect()
    }

    /// One line that may hold a secret; nothing if a part of it is absent.
    fn line(&self, field: String, text: &str, problems: &mut Vec<Problem>) -> Option<SecretString> {
        let filled = parsed(&field, text).and_then(|template| self.parts(&field, template));
        let value = keep(filled, problems).flatten()?;
        if value.iter().all(|part| is_one_line(part)) {
            return Some(joined(&value));
        }
        problems.push(Problem::new(field, "must be one line without control characters"));
        None
    }

    fn url(&self) -> Result<Option<String>, Problem> {
        let Some(text) = &self.spec.url else { return Ok(None) };
        let Some(filled) = self.text("url", text)? else {
            return Err(Problem::new("url", "needs a config value that is not set"));
        };
        address::check(&filled).map_err(|message| Problem::new("url", message))?;
        Ok(Some(filled))
    }

    /// A text that holds no secret; nothing if a part of it is absent.
    fn text(&self, field: &str, template: &str) -> Result<Option<String>, Problem> {
        let template = parsed(field, template)?;
        if template.placeholders().any(|placeholder| matches!(placeholder, Placeholder::Credential(_))) {
            return Err(Problem::new(field, "must hold no credential"));
        }
        let Some(parts) = self.parts(field, template)? else { return Ok(None) };
        if parts.iter().any(|part| part.contains('\0')) {
            return Err(Problem::new(field, "must not contain the character U+0000"));
        }
        Ok(Some(parts.concat()))
    }

    /// The parts of a text, in order; nothing if one of them is absent.
    fn parts(&self, field: &str, template: Template) -> Result<Option<Vec<Cow<'a, str>>>, Problem> {
        let mut parts = Vec::with_capacity(template.parts.len());
        for part in template.parts {
            let filled = match part {
                Part::Text(text) => Filled::Given(Cow::Owned(text)),
                Part::Placeholder(placeholder) => self.fill(field, &placeholder)?,
            };
            match filled {
                Filled::Given(text) => parts.push(text),
                Filled::Absent => return Ok(None),
            }
        }
        if parts.iter().map(|part| part.len()).sum::<usize>() > MAX_VALUE_BYTES {
            return Err(Problem::new(field, "is longer than 64 KiB when filled in"));
        }
        Ok(Some(parts))
    }

    fn fill(&self, field: &str, placeholder: &Placeholder) -> Result<Filled<'a>, Problem> {
        let given = match placeholder {
            Placeholder::Port => Cow::Owned(self.facts.port.to_string()),
            Placeholder::InstanceId => Cow::Owned(self.facts.instance_id.to_string()),
            Placeholder::Dir => Cow::Borrowed(self.facts.dir),
            Placeholder::Token => return Err(Problem::new(field, "holds `${token}`, which no launch knows")),
            Placeholder::Credential(name) => return self.credential(field, name),
            Placeholder::CredentialFile(name) => {
                let path = format!("{}/{name}", self.facts.secrets_dir);
                return self.handed_over(field, name, &self.handed.files, |_| path);
            }
            Placeholder::CredentialDescriptor(name) => {
                let first = self.facts.first_descriptor;
                let number = |place| (first + i32::try_from(place).unwrap_or_default()).to_string();
                return self.handed_over(field, name, &self.handed.descriptors, number);
            }
            Placeholder::Config(key) => match self.config.get(key) {
                None | Some(Value::Null) => return Ok(Filled::Absent),
                Some(Value::String(text)) => Cow::Borrowed(text.as_str()),
                // Lists and objects are for servers that read JSON.
                Some(other) => Cow::Owned(other.to_string()),
            },
        };
        Ok(Filled::Given(given))
    }

    /// Where a secret is found that is not told in a variable: `place` says it from its position among those.
    fn handed_over(
        &self,
        field: &str,
        name: &str,
        among: &BTreeSet<String>,
        place: impl FnOnce(usize) -> String,
    ) -> Result<Filled<'a>, Problem> {
        match (among.iter().position(|slot| slot == name), self.spec.slot(name)) {
            (Some(position), _) => Ok(Filled::Given(Cow::Owned(place(position)))),
            (None, Some(slot)) if !slot.required => Ok(Filled::Absent),
            (None, _) => Err(Problem::new(field, format!("needs the credential {name:?}"))),
        }
    }

    fn credential(&self, field: &str, name: &str) -> Result<Filled<'a>, Problem> {
        match (self.credentials.get(name), self.spec.slot(name)) {
            (Some(value), _) => Ok(Filled::Given(Cow::Borrowed(value.expose_secret()))),
            (None, Some(slot)) if !slot.required => Ok(Filled::Absent),
            (None, _) => Err(Problem::new(field, format!("needs the credential {name:?}"))),
        }
    }
}

fn parsed(field: &str, template: &str) -> Result<Template, Problem> {
    Template::parse(template).map_err(|error| Problem::new(field, error.to_string()))
}

fn keep<T>(result: Result<T, Problem>, problems: &mut Vec<Problem>) -> Option<T> {
    result.map_err(|problem| problems.push(problem)).ok()
}

/// Built at its final length, so that no shorter copy of a secret is left behind as it grows.
fn joined(parts: &[Cow<'_, str>]) -> SecretString {
    let mut whole = String::with_capacity(parts.iter().map(|part| part.len()).sum());
    for part in parts {
        whole.push_str(part);
    }
    SecretString::from(whole)
}

fn is_number(text: &str) -> bool {
    text.parse::<f64>().is_ok_and(f64::is_finite)
}

#[cfg(test)]
mod tests;
