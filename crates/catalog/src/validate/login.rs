//! Whether a type's `[login]` is sound.

use std::collections::HashSet;

use super::Check;
use crate::spec::Author;

/// What else may be told: far more than any service asks for.
const MAX_PARAMS: usize = 16;
/// What the login itself says, and nobody else.
const OWN_PARAMS: [&str; 10] = [
    "response_type",
    "response_mode",
    "client_id",
    "client_secret",
    "redirect_uri",
    "scope",
    "state",
    "code_challenge",
    "code_challenge_method",
    "request_uri",
];

impl Check<'_> {
    pub(super) fn login(&mut self) {
        let Some(login) = &self.spec.login else { return };
        self.whole_address("login.authorization_url", &login.authorization_url, login.allow_private);
        self.whole_address("login.token_url", &login.token_url, login.allow_private);
        if login.allow_private && self.author != Author::Admin {
            self.report("login.allow_private", "may be set by an administrator only");
        }
        self.login_scopes();
        self.login_params();
        self.login_slots();
    }

    fn login_scopes(&mut self) {
        let spec = self.spec;
        let Some(login) = &spec.login else { return };
        self.scopes("login.scopes", &login.scopes);
        let asked = login.scopes(spec);
        for scope in spec.required_scopes.iter().filter(|scope| !asked.contains(scope)) {
            self.report("login.scopes", format!("lacks {scope:?}, which required_scopes names"));
        }
    }

    fn login_params(&mut self) {
        let Some(login) = &self.spec.login else { return };
        if login.params.len() > MAX_PARAMS {
            self.report("login.params", format!("has more than {MAX_PARAMS} entries"));
        }
        for (name, value) in &login.params {
            let field = format!("login.params.{}", name.escape_debug());
            let word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
            if !((1..=50).contains(&name.len()) && name.bytes().all(word)) {
                self.report(&field, "must be at most 50 small letters, digits and underscores");
            }
            if OWN_PARAMS.contains(&name.as_str()) {
                self.report(&field, "is said by the login itself");
            }
            let plain = value.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ');
            if !plain || value.len() > 200 || value.contains("${") {
                self.report(&field, "must be at most 200 visible ASCII characters without placeholders");
            }
        }
    }

    fn login_slots(&mut self) {
        let spec = self.spec;
        let Some(login) = &spec.login else { return };
        let slots = &login.slots;
        let named = [
            ("client_id", Some(&slots.client_id)),
            ("client_secret", slots.client_secret.as_ref()),
            ("refresh_token", Some(&slots.refresh_token)),
        ];
        let mut seen = HashSet::new();
        for (part, slot) in named.into_iter().filter_map(|(part, slot)| Some((part, slot?))) {
            let field = format!("login.slots.{part}");
            if spec.slot(slot).is_none() {
                self.report(&field, format!("names the slot {slot:?}, which is not in credential_slots"));
            }
            if !seen.insert(slot) {
                self.report(&field, "names a slot that another one names, too");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::spec::Author;

    const GOOD: &str =
        "authorization_url = \"https://a.example/auth\"\ntoken_url = \"https://a.example/token\"\n";
    const SLOTS: &str = "[login.slots]\nclient_id = \"id\"\nrefresh_token = \"token\"";

    #[track_caller]
    fn fields(author: Author, login: &str, expected: &[&str]) {
        let text = format!(
            "name = \"a\"\ndisplay_name = \"A\"\nprogram = \"/a\"\nrequired_scopes = [\"read\"]\n\
             [[credential_slots]]\nname = \"id\"\nlabel = \"I\"\n\
             [[credential_slots]]\nname = \"token\"\nlabel = \"T\"\n[login]\n{login}"
        );
        let problems = crate::parse_manifest(&text).unwrap().validate(author).err().unwrap_or_default();
        let found: Vec<&str> = problems.iter().map(|problem| problem.field.as_str()).collect();
        assert_eq!(found, expected, "{problems:?}");
    }

    #[test]
    fn a_sound_login_passes() {
        fields(Author::User, &format!("{GOOD}params = {{ access_type = \"offline\" }}\n{SLOTS}"), &[]);
        fields(Author::User, &format!("{GOOD}scopes = [\"read\", \"write\"]\n{SLOTS}"), &[]);
        let private = GOOD.replace("https://a.example", "http://127.0.0.1:1");
        fields(Author::Admin, &format!("{private}allow_private = true\n{SLOTS}"), &[]);
    }

    #[test]
    fn whatever_would_lead_a_person_or_a_secret_astray_is_refused() {
        let open = GOOD.replace("https", "http");
        let urls = ["login.authorization_url", "login.token_url"];
        fields(Author::Admin, &format!("{open}{SLOTS}"), &urls);
        let allowed = ["login.authorization_url", "login.token_url", "login.allow_private"];
        fields(
            Author::User,
            &format!("{}allow_private = true\n{SLOTS}", open.replace("http", "ftp")),
            &allowed,
        );
        let filled = GOOD.replace("/auth", "/${credential.token}");
        fields(Author::Admin, &format!("{filled}{SLOTS}"), &["login.authorization_url"]);
        fields(Author::Admin, &format!("{GOOD}scopes = [\"write\"]\n{SLOTS}"), &["login.scopes"]);
        fields(Author::Admin, &format!("{GOOD}scopes = [\"read\", \"a b\"]\n{SLOTS}"), &["login.scopes[1]"]);
        let params =
            "params = { redirect_uri = \"https://b.example\", State = \"x\", a = \"${credential.token}\" }";
        let expected = ["login.params.State", "login.params.a", "login.params.redirect_uri"];
        fields(Author::Admin, &format!("{GOOD}{params}\n{SLOTS}"), &expected);
        let slots = "[login.slots]\nclient_id = \"id\"\nclient_secret = \"none\"\nrefresh_token = \"id\"";
        fields(
            Author::Admin,
            &format!("{GOOD}{slots}"),
            &["login.slots.client_secret", "login.slots.refresh_token"],
        );
        for unknown in ["redirect = \"x\"\n", "[login.slots]\nclient_id = \"id\"\npassword = \"token\"\n"] {
            assert!(crate::parse_manifest(&format!("name = \"a\"\n[login]\n{GOOD}{unknown}")).is_err());
        }
    }
}
