//! Whether a type's `[validation]` is sound.

use std::collections::HashSet;

use super::{Check, Credentials, MAX_PATH, MAX_TEMPLATES};
use crate::address;
use crate::names::{is_one_line, is_slot_name};
use crate::spec::Author;
use crate::template::{Placeholder, Template};
use crate::validation::{Shown, ValidationMethod};

/// Statuses of one list: there are not many that could mean anything.
const MAX_STATUSES: usize = 20;
/// What is shown of one answer: a few words, not the answer.
const MAX_SHOWN: usize = 10;

impl Check<'_> {
    pub(super) fn hook(&mut self) {
        let Some(validation) = &self.spec.validation else { return };
        if self.spec.credential_slots.is_empty() {
            self.report("validation", "means nothing here: the type has no credential_slots");
        }
        self.whole_address("validation.url", &validation.url, validation.allow_private);
        if let Some(token) = &validation.token {
            self.whole_address("validation.token.url", &token.url, validation.allow_private);
        }
        if validation.allow_private && self.author != Author::Admin {
            self.report("validation.allow_private", "may be set by an administrator only");
        }
        self.hook_headers();
        self.hook_statuses();
        self.hook_token();
        self.hook_shown();
    }

    /// An address that a secret is sent to, or a person with one.
    pub(super) fn whole_address(&mut self, field: &str, url: &str, allow_private: bool) {
        let is_open = allow_private && url.starts_with("http://");
        if url.contains("${") || url.len() > MAX_PATH {
            self.report(
                field,
                "must be at most 1024 bytes without placeholders: no secret belongs into an address",
            );
        } else if !(is_open || url.starts_with("https://")) {
            let table = field.split('.').next().unwrap_or_default();
            let rule = format!(
                "must begin with `https://`; an administrator may allow less with `{table}.allow_private`"
            );
            self.report(field, rule);
        } else if let Err(message) = address::check(url) {
            self.report(field, message);
        }
    }

    /// Whether a token is there to be filled in.
    pub(super) fn has_token(&self, field: &str) -> bool {
        field.starts_with("validation.headers.")
            && self.spec.validation.as_ref().is_some_and(|validation| validation.token.is_some())
    }

    fn hook_token(&mut self) {
        let Some(validation) = &self.spec.validation else { return };
        let Some(token) = &validation.token else { return };
        if token.form.is_empty() || token.form.len() > MAX_TEMPLATES {
            self.report("validation.token.form", format!("must have from 1 to {MAX_TEMPLATES} entries"));
        }
        for (name, text) in &token.form {
            let field = format!("validation.token.form.{}", name.escape_debug());
            if !is_word(name) {
                self.report(&field, "must be a name of at most 100 letters, digits and `_.-`");
            }
            self.template(&field, text, Credentials::Allowed);
            self.only_credentials(&field, text);
        }
        if !is_word(&token.field) {
            self.report("validation.token.field", "must be a name of at most 100 letters, digits and `_.-`");
        }
        self.statuses("token.refused_status", &token.refused_status);
        let is_used = validation.headers.values().any(|text| {
            Template::parse(text)
                .is_ok_and(|template| template.placeholders().any(|found| *found == Placeholder::Token))
        });
        if !is_used {
            self.report("validation.token", "means nothing here: no header holds `${token}`");
        }
    }

    fn hook_shown(&mut self) {
        let Some(validation) = &self.spec.validation else { return };
        if validation.show.len() > MAX_SHOWN {
            self.report("validation.show", format!("has more than {MAX_SHOWN} entries"));
        }
        for (name, shown) in &validation.show {
            let field = format!("validation.show.{}", name.escape_debug());
            if !is_slot_name(name) {
                let rule = "must be a letter, then at most 49 letters, digits, hyphens and underscores";
                self.report(&field, rule);
            }
            match shown {
                Shown::Header(header) if !is_header(header) => self.report(&field, "names no header"),
                Shown::Body(_) if validation.method == ValidationMethod::Head => {
                    self.report(&field, "is in a body, and an answer to HEAD has none");
                }
                Shown::Token(_) if validation.token.is_none() => {
                    self.report(&field, "needs a `validation.token`");
                }
                Shown::Body(pointer) | Shown::Token(pointer) if !is_pointer(pointer) => {
                    self.report(&field, "must be a JSON pointer such as `/login`, of at most 200 bytes");
                }
                Shown::Body(_) | Shown::Header(_) | Shown::Token(_) => {}
            }
        }
    }

    fn only_credentials(&mut self, field: &str, text: &str) {
        let is_known = |placeholder: &Placeholder| {
            // Of a token, the template has told already.
            matches!(placeholder, Placeholder::Credential(_) | Placeholder::Token)
        };
        if Template::parse(text).is_ok_and(|template| !template.placeholders().all(is_known)) {
            self.report(field, "can hold credentials alone: no instance runs when it is sent");
        }
    }

    fn statuses(&mut self, name: &str, statuses: &[u16]) {
        let known = statuses.iter().all(|status| (200..=599).contains(status));
        if !known || statuses.len() > MAX_STATUSES {
            self.report(format!("validation.{name}"), "must be at most 20 statuses from 200 to 599");
        }
    }

    fn hook_headers(&mut self) {
        let Some(validation) = &self.spec.validation else { return };
        if validation.headers.len() > MAX_TEMPLATES {
            self.report("validation.headers", format!("has more than {MAX_TEMPLATES} entries"));
        }
        let mut names = HashSet::new();
        for (name, text) in &validation.headers {
            let field = format!("validation.headers.{}", name.escape_debug());
            if !name.eq_ignore_ascii_case("accept")
                && let Err(message) = address::check_header_name(name)
            {
                self.report(&field, message);
            }
            if !names.insert(name.to_ascii_lowercase()) {
                self.report(&field, "is given twice: names of headers do not differ by case");
            }
            self.template(&field, text, Credentials::Allowed);
            self.only_credentials(&field, text);
        }
    }

    fn hook_statuses(&mut self) {
        let Some(validation) = &self.spec.validation else { return };
        self.statuses("expect_status", &validation.expect_status);
        self.statuses("refused_status", &validation.refused_status);
        if validation.expect_status.is_empty() {
            self.report("validation.expect_status", "must name the statuses that say yes");
        }
        if validation.expect_status.iter().any(|status| validation.refused_status.contains(status)) {
            self.report("validation.refused_status", "names a status that expect_status names, too");
        }
    }
}

/// The name of a field of a form or of an answer.
fn is_word(name: &str) -> bool {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    (1..=100).contains(&name.len()) && name.bytes().all(good)
}

/// Cookies are secrets of their own.
fn is_header(name: &str) -> bool {
    http::HeaderName::from_bytes(name.as_bytes())
        .is_ok_and(|name| name != http::header::SET_COOKIE && name.as_str().len() <= 100)
}

fn is_pointer(pointer: &str) -> bool {
    pointer.starts_with('/') && pointer.len() <= 200 && is_one_line(pointer)
}

#[cfg(test)]
mod tests {
    use crate::spec::{Author, TypeSpec};

    fn spec(validation: &str) -> TypeSpec {
        let text = format!(
            "name = \"a\"\ndisplay_name = \"A\"\nprogram = \"/a\"\n\
             [[credential_slots]]\nname = \"token\"\nlabel = \"T\"\n[validation]\n{validation}"
        );
        crate::parse_manifest(&text).unwrap()
    }

    #[track_caller]
    fn fields(author: Author, validation: &str, expected: &[&str]) {
        let problems = spec(validation).validate(author).err().unwrap_or_default();
        let found: Vec<&str> = problems.iter().map(|problem| problem.field.as_str()).collect();
        assert_eq!(found, expected, "{problems:?}");
    }

    #[test]
    fn a_sound_hook_passes() {
        let good = "url = \"https://api.example.com/me\"\nmethod = \"HEAD\"\nexpect_status = [200, 204]\n\
                    headers = { Authorization = \"Bearer ${credential.token}\", Accept = \"application/json\" }";
        fields(Author::User, good, &[]);
        fields(Author::Admin, "url = \"http://127.0.0.1:8080/me\"\nallow_private = true", &[]);
    }

    #[test]
    fn whatever_would_send_a_secret_astray_is_refused() {
        fields(Author::Admin, "url = \"http://api.example.com/me\"", &["validation.url"]);
        fields(Author::Admin, "url = \"https://api.example.com/${credential.token}\"", &["validation.url"]);
        fields(Author::Admin, "url = \"https://me:you@api.example.com/\"", &["validation.url"]);
        let private = "url = \"http://127.0.0.1/\"\nallow_private = true";
        fields(Author::User, private, &["validation.allow_private"]);
        let odd = "url = \"https://a.example\"\nheaders = { Host = \"b\", X-A = \"${dir}\", X-B = \"${credential.pin}\" }";
        let expected = ["validation.headers.Host", "validation.headers.X-A", "validation.headers.X-B"];
        fields(Author::Admin, odd, &expected);
        let statuses = "url = \"https://a.example\"\nexpect_status = [200, 401]\nrefused_status = [401, 99]";
        let expected = ["validation.refused_status", "validation.refused_status"];
        fields(Author::Admin, statuses, &expected);
    }

    #[test]
    fn a_token_is_fetched_and_something_is_shown() {
        let good = "url = \"https://a.example/me\"\nheaders = { Authorization = \"Bearer ${token}\" }\n\
                    [validation.token]\nurl = \"https://a.example/token\"\nform = { t = \"${credential.token}\" }\n\
                    [validation.show]\naccount = { body = \"/user/login\" }\nscopes = { token = \"/scope\" }\n\
                    left = { header = \"x-ratelimit-remaining\" }";
        fields(Author::User, good, &[]);
    }

    #[test]
    fn a_token_goes_nowhere_else_and_comes_from_nowhere_else() {
        let none = "url = \"https://a.example/me\"\nheaders = { Authorization = \"Bearer ${token}\" }";
        fields(Author::Admin, none, &["validation.headers.Authorization"]);
        let odd = "url = \"https://a.example/me\"\n[validation.token]\nurl = \"http://a.example/\"\n\
                   form = { \"a b\" = \"${dir}\", c = \"${token}\", d = \"${credential.pin}\" }\nfield = \"\"\n\
                   refused_status = [99]";
        let expected = [
            "validation.token.url",
            "validation.token.form.a b",
            "validation.token.form.a b",
            "validation.token.form.c",
            "validation.token.form.d",
            "validation.token.field",
            "validation.token.refused_status",
            "validation.token",
        ];
        fields(Author::Admin, odd, &expected);
        let shown = "url = \"https://a.example/me\"\nmethod = \"HEAD\"\n[validation.show]\n\
                     a = { header = \"set-cookie\" }\nb = { body = \"/x\" }\nc = { token = \"/x\" }\n\
                     \"d d\" = { header = \"x\" }";
        let expected = ["validation.show.a", "validation.show.b", "validation.show.c", "validation.show.d d"];
        fields(Author::Admin, shown, &expected);
        let shown = "url = \"https://a.example/me\"\n[validation.show]\na = { body = \"login\" }";
        fields(Author::Admin, shown, &["validation.show.a"]);
    }
}
