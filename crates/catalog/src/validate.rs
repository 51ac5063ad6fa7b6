//! Whether a type is sound: every rule, every problem at once.

mod confine;
mod hook;
mod login;
mod reach;

use std::collections::HashSet;
use std::fmt::Display;
use std::ops::RangeInclusive;

use roadstead_model::{RestartFields, RestartPolicy};

use crate::config;
use crate::credentials::compile_pattern;
use crate::names::{
    is_code_name, is_one_line, is_reserved_name, is_slot_name, is_type_name, is_variable_name,
};
use crate::problem::{Problem, none_of};
use crate::spec::{Author, Kind, TypeSpec};
use crate::template::{Placeholder, Template};

/// Arguments or variables of one type: far more than any server takes.
const MAX_TEMPLATES: usize = 64;
/// Longest template.
const MAX_TEMPLATE_BYTES: usize = 4096;
/// Slots of one type: a form with more is not a form.
const MAX_SLOTS: usize = 20;
/// Longest name that people read, in characters.
const MAX_LABEL: usize = 100;
/// Longest explanation, in characters.
const MAX_DESCRIPTION: usize = 2000;
/// Longest address or path.
const MAX_PATH: usize = 1024;
/// Longest pattern of a slot.
const MAX_PATTERN: usize = 500;
/// Most of the disk for one instance: a tebibyte, in mebibytes.
const MAX_DISK_MB: u32 = 1024 * 1024;
/// Longest lifetime or idle time: thirty days.
const MAX_MINUTES: u32 = 30 * 24 * 60;

/// Most calls of tools in a minute that are counted.
const MAX_CALLS_PER_MINUTE: u32 = 1_000_000;
/// Longest time of a call without progress: a day.
const MAX_CALL_S: u32 = 24 * 60 * 60;

struct Check<'a> {
    spec: &'a TypeSpec,
    author: Author,
    problems: Vec<Problem>,
}

/// Which placeholders a text may hold.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Credentials {
    Allowed,
    Refused,
}

pub(crate) fn validate(spec: &TypeSpec, author: Author) -> Result<(), Vec<Problem>> {
    let mut check = Check { spec, author, problems: Vec::new() };
    check.words();
    check.program();
    check.reach();
    check.templates();
    check.slots();
    check.hook();
    check.login();
    check.config();
    check.limits();
    check.confinement();
    check.delivery();
    none_of(check.problems)
}

impl Check<'_> {
    fn report(&mut self, field: impl Into<String>, message: impl Into<String>) {
        self.problems.push(Problem::new(field, message));
    }

    fn words(&mut self) {
        let spec = self.spec;
        if !is_type_name(&spec.name) {
            let rule = "must be a small letter, then at most 49 small letters, digits and hyphens";
            self.report("name", rule);
        }
        self.label("display_name", &spec.display_name);
        self.description("description", spec.description.as_deref());
        if let Some(version) = &spec.version {
            self.label("version", version);
        }
        if let Some(url) = &spec.icon_url {
            let plain = url.bytes().all(|byte| byte.is_ascii_graphic() && !br#""'<>\`"#.contains(&byte));
            let web = url.starts_with("https://") || url.starts_with("http://");
            if !(plain && web && url.len() <= MAX_PATH) {
                self.report("icon_url", "must be an http or https address without spaces or quotes");
            }
        }
        self.scopes("required_scopes", &spec.required_scopes);
    }

    fn scopes(&mut self, field: &str, scopes: &[String]) {
        if scopes.len() > MAX_TEMPLATES {
            self.report(field, format!("has more than {MAX_TEMPLATES} entries"));
        }
        for (index, scope) in scopes.iter().enumerate() {
            let good = (1..=200).contains(&scope.len()) && scope.bytes().all(|byte| byte.is_ascii_graphic());
            if !good {
                self.report(format!("{field}[{index}]"), "must be visible ASCII without spaces");
            }
        }
    }

    fn label(&mut self, field: &str, text: &str) {
        if text.trim().is_empty() || text.chars().count() > MAX_LABEL || text.contains(char::is_control) {
            self.report(field, format!("must be one line of 1 to {MAX_LABEL} characters"));
        }
    }

    fn description(&mut self, field: &str, text: Option<&str>) {
        let control = |c: char| c.is_control() && c != '\n' && c != '\t';
        if text.is_some_and(|text| text.chars().count() > MAX_DESCRIPTION || text.contains(control)) {
            self.report(
                field,
                format!("must be at most {MAX_DESCRIPTION} characters without control characters"),
            );
        }
    }

    fn program(&mut self) {
        if let Some(Err(message)) = self.spec.program.as_deref().map(absolute_path) {
            self.report("program", message);
        }
        if let Some(folder) = &self.spec.working_dir {
            match folder.strip_prefix("${dir}") {
                Some(below) if below.is_empty() || absolute_path(below).is_ok() => {}
                None if absolute_path(folder).is_ok() => {}
                _ => self.report(
                    "working_dir",
                    "must be an absolute path without `..`, or `${dir}` and a path below it",
                ),
            }
        }
    }

    fn templates(&mut self) {
        let spec = self.spec;
        for (field, count) in [("args", spec.args.len()), ("env", spec.env.len())] {
            if count > MAX_TEMPLATES {
                self.report(field, format!("has more than {MAX_TEMPLATES} entries"));
            }
        }
        for (index, text) in spec.args.iter().enumerate() {
            self.template(&format!("args[{index}]"), text, Credentials::Refused);
        }
        for (name, text) in &spec.env {
            let field = format!("env.{}", name.escape_debug());
            self.variable_name(&field, name);
            self.template(&field, text, Credentials::Allowed);
        }
    }

    fn variable_name(&mut self, field: &str, name: &str) {
        if is_reserved_name(name) {
            self.report(field, "is set for every server and cannot be changed");
        } else if is_code_name(name) && self.author != Author::Admin {
            self.report(field, "can make a program run other code; only an administrator may set it");
        }
        if !is_variable_name(name) {
            self.report(
                field,
                "must be a capital letter or underscore, then capitals, digits and underscores",
            );
        }
    }

    fn template(&mut self, field: &str, text: &str, credentials: Credentials) {
        if text.len() > MAX_TEMPLATE_BYTES || !is_one_line(text) {
            self.report(field, format!("must be one line of at most {MAX_TEMPLATE_BYTES} bytes"));
        }
        let template = match Template::parse(text) {
            Ok(template) => template,
            Err(error) => return self.report(field, error.to_string()),
        };
        for placeholder in template.placeholders() {
            self.placeholder(field, placeholder, credentials);
        }
    }

    fn placeholder(&mut self, field: &str, placeholder: &Placeholder, credentials: Credentials) {
        match placeholder {
            Placeholder::Credential(_) if credentials == Credentials::Refused => self.report(
                field,
                "must hold no credential: every user of the machine can read arguments, and addresses get into \
                 logs; pass it in `env` or `headers`",
            ),
            Placeholder::CredentialFile(_) | Placeholder::CredentialDescriptor(_)
                if self.spec.kind() == Kind::Remote =>
            {
                self.report(field, "is for a program, and a remote server has none here");
            }
            Placeholder::Credential(slot)
            | Placeholder::CredentialFile(slot)
            | Placeholder::CredentialDescriptor(slot)
                if self.spec.slot(slot).is_none() =>
            {
                self.report(field, format!("names the slot {slot:?}, which is not in credential_slots"));
            }
            Placeholder::Config(key) if !self.knows_key(key) => self.report(
                field,
                format!(
                    "names the config key {key:?}, which is in neither config_template nor config_schema"
                ),
            ),
            Placeholder::Token if !self.has_token(field) => self.report(
                field,
                "holds `${token}`, which only `validation.headers` may, where there is a `validation.token`",
            ),
            Placeholder::Credential(_)
            | Placeholder::CredentialFile(_)
            | Placeholder::CredentialDescriptor(_)
            | Placeholder::Token
            | Placeholder::Config(_)
            | Placeholder::Port
            | Placeholder::InstanceId
            | Placeholder::Dir => {}
        }
    }

    fn knows_key(&self, key: &str) -> bool {
        let properties = self.spec.config_schema.as_ref().and_then(|schema| schema.get("properties"));
        self.spec.config_template.contains_key(key)
            || properties.is_some_and(|known| known.get(key).is_some())
    }

    fn slots(&mut self) {
        let spec = self.spec;
        if spec.credential_slots.len() > MAX_SLOTS {
            self.report("credential_slots", format!("has more than {MAX_SLOTS} entries"));
        }
        let mut names = HashSet::new();
        for (index, slot) in spec.credential_slots.iter().enumerate() {
            let field = |part: &str| format!("credential_slots[{index}].{part}");
            if !is_slot_name(&slot.name) {
                let rule = "must be a letter, then at most 49 letters, digits, hyphens and underscores";
                self.report(field("name"), rule);
            }
            if !names.insert(slot.name.as_str()) {
                self.report(field("name"), "is the name of another slot too");
            }
            self.label(&field("label"), &slot.label);
            self.description(&field("description"), slot.description.as_deref());
            let Some(pattern) = &slot.pattern else { continue };
            if pattern.len() > MAX_PATTERN || compile_pattern(pattern).is_err() {
                let rule = format!(
                    "must be a regular expression of at most {MAX_PATTERN} bytes, without look-around"
                );
                self.report(field("pattern"), rule);
            }
        }
    }

    fn config(&mut self) {
        let spec = self.spec;
        if let Err(problems) = config::check_size(&spec.config_template, "config_template") {
            self.problems.extend(problems);
        }
        match spec.config_schema.as_ref().map(config::compile_schema) {
            Some(Ok(validator)) => {
                self.problems.extend(config::check_template(&spec.config_template, &validator));
            }
            Some(Err(problem)) => self.problems.push(problem),
            None => {}
        }
    }

    fn limits(&mut self) {
        let limits = self.spec.resource_limits;
        self.within("resource_limits.memory_mb", limits.memory_mb, 16..=1024 * 1024);
        self.within("resource_limits.cpu", limits.cpu, 0.01..=256.0);
        self.within("resource_limits.processes", limits.processes, 1..=4096);
        self.within("resource_limits.open_files", limits.open_files, 32..=65_536);
        self.within("resource_limits.disk_mb", limits.disk_mb, 1..=MAX_DISK_MB);
        if let Some(size) = limits.file_size_mb {
            self.within("resource_limits.file_size_mb", size, 1..=MAX_DISK_MB);
        }
        self.within("max_duration_minutes", self.spec.max_duration_minutes, 1..=MAX_MINUTES);
        self.within("ready_timeout_s", self.spec.ready_timeout_s, 1..=600);
        if let Some(idle) = self.spec.idle_limit_s {
            self.within("idle_limit_s", idle, 1..=MAX_MINUTES * 60);
        }
        if let Err(error) = RestartPolicy::try_from(self.spec.restart_fields()) {
            self.report(RestartFields::field_of(error), error.to_string());
        }
        self.within("rate_limit_per_minute", self.spec.rate_limit_per_minute, 0..=MAX_CALLS_PER_MINUTE);
        if let Some(timeout) = self.spec.call_timeout_s {
            self.within("call_timeout_s", timeout, 1..=MAX_CALL_S);
        }
        if let Some(longest) = self.spec.call_timeout_max_s {
            self.within(
                "call_timeout_max_s",
                longest,
                self.spec.call_timeout_s.unwrap_or(1)..=7 * MAX_CALL_S,
            );
        }
    }

    fn within<T: Copy + PartialOrd + Display>(&mut self, field: &str, value: T, range: RangeInclusive<T>) {
        if !range.contains(&value) {
            self.report(field, format!("must be between {} and {}", range.start(), range.end()));
        }
    }
}

fn absolute_path(path: &str) -> Result<(), &'static str> {
    if !path.starts_with('/') || path.ends_with('/') {
        return Err("must be an absolute path of a file; no search path and no shell is used");
    }
    if path.split('/').any(|part| part == "..") {
        return Err("must not contain `..`");
    }
    if path.len() > MAX_PATH || path.contains(char::is_control) || path.contains("${") {
        return Err("must be one line without placeholders, of at most 1024 bytes");
    }
    Ok(())
}

#[cfg(test)]
mod tests;
