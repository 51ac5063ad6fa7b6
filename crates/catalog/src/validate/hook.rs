//! Whether a type's `[validation]` is sound.

use std::collections::HashSet;

use super::{Check, Credentials, MAX_PATH, MAX_TEMPLATES};
use crate::address;
use crate::spec::Author;
use crate::template::{Placeholder, Template};

/// Statuses of one list: there are not many that could mean anything.
const MAX_STATUSES: usize = 20;

impl Check<'_> {
    pub(super) fn hook(&mut self) {
        let Some(validation) = &self.spec.validation else { return };
        if self.spec.credential_slots.is_empty() {
            self.report("validation", "means nothing here: the type has no credential_slots");
        }
        let is_open = validation.allow_private && validation.url.starts_with("http://");
        let is_allowed = is_open || validation.url.starts_with("https://");
        if validation.url.contains("${") || validation.url.len() > MAX_PATH {
            self.report(
                "validation.url",
                "must be at most 1024 bytes without placeholders: secrets belong into headers",
            );
        } else if !is_allowed {
            let rule =
                "must begin with `https://`; an administrator may allow less with `validation.allow_private`";
            self.report("validation.url", rule);
        } else if let Err(message) = address::check(&validation.url) {
            self.report("validation.url", message);
        }
        if validation.allow_private && self.author != Author::Admin {
            self.report("validation.allow_private", "may be set by an administrator only");
        }
        self.hook_headers();
        self.hook_statuses();
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
            let is_secret = |placeholder: &Placeholder| matches!(placeholder, Placeholder::Credential(_));
            if Template::parse(text).is_ok_and(|template| !template.placeholders().all(is_secret)) {
                self.report(&field, "can hold credentials alone: no instance runs when it is sent");
            }
        }
    }

    fn hook_statuses(&mut self) {
        let Some(validation) = &self.spec.validation else { return };
        let lists =
            [("expect_status", &validation.expect_status), ("refused_status", &validation.refused_status)];
        for (name, statuses) in lists {
            let known = statuses.iter().all(|status| (200..=599).contains(status));
            if !known || statuses.len() > MAX_STATUSES {
                self.report(format!("validation.{name}"), "must be at most 20 statuses from 200 to 599");
            }
        }
        if validation.expect_status.is_empty() {
            self.report("validation.expect_status", "must name the statuses that say yes");
        }
        if validation.expect_status.iter().any(|status| validation.refused_status.contains(status)) {
            self.report("validation.refused_status", "names a status that expect_status names, too");
        }
    }
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
}
