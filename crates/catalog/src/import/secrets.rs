//! What looks like a secret, by its name or by itself. A guess too many costs a form field; one too few, a password.

/// Words that name a secret wherever they stand in a name, in capitals.
const STRONG: [&str; 16] = [
    "TOKEN",
    "SECRET",
    "PASSWORD",
    "PASSWD",
    "PASSPHRASE",
    "CREDENTIAL",
    "APIKEY",
    "PRIVATEKEY",
    "ACCESSKEY",
    "BEARER",
    "COOKIE",
    "CONNECTIONSTRING",
    "DATABASEURL",
    "AUTHORIZATION",
    "WEBHOOKURL",
    "MNEMONIC",
];
/// Words that name a secret when they stand alone between separators.
const WEAK: [&str; 15] = [
    "KEY",
    "KEYS",
    "AUTH",
    "PAT",
    "PASS",
    "PWD",
    "PW",
    "PIN",
    "JWT",
    "DSN",
    "SIGNATURE",
    "SID",
    "SESSION",
    "OAUTH",
    "OTP",
];
/// Last words of names that only tell something about a secret.
const ABOUT: [&str; 10] =
    ["TYPE", "MODE", "ENABLED", "TTL", "LIMIT", "EXPIRY", "TIMEOUT", "TOKENS", "SCHEME", "LENGTH"];
/// How well-known secrets begin.
const BEGINNINGS: [&str; 26] = [
    "sk-",
    "sk_",
    "pk_live_",
    "rk_live_",
    "ghp_",
    "gho_",
    "ghu_",
    "ghs_",
    "ghr_",
    "github_pat_",
    "glpat-",
    "xoxb-",
    "xoxp-",
    "xoxa-",
    "xapp-",
    "AKIA",
    "ASIA",
    "AIza",
    "ya29.",
    "eyJ",
    "npm_",
    "pypi-",
    "figd_",
    "secret_",
    "ntn_",
    "-----BEGIN",
];
/// Letters and digits in a row that no word and no number has.
const MIN_RANDOM: usize = 20;
/// Schemes that stand before a secret in a header and are none.
const SCHEMES: [&str; 7] = ["bearer", "basic", "token", "apikey", "api-key", "key", "digest"];

/// Whether a name says that its value is a secret.
pub(super) fn is_secret_name(name: &str) -> bool {
    let words = words(name);
    if words.last().is_some_and(|last| ABOUT.contains(&last.as_str())) {
        return false;
    }
    let whole = words.concat();
    STRONG.iter().any(|strong| whole.contains(strong))
        || words.iter().any(|word| WEAK.contains(&word.as_str()))
}

/// The words of a name in capitals: `apiKey`, `API_KEY` and `api-key` alike.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut before = '_';
    for c in name.chars().take(400) {
        let begins = c.is_ascii_uppercase() && before.is_ascii_lowercase();
        if (begins || !c.is_ascii_alphanumeric()) && words.last().is_some_and(|word| !word.is_empty()) {
            words.push(String::new());
        }
        if c.is_ascii_alphanumeric()
            && let Some(word) = words.last_mut()
        {
            word.push(c.to_ascii_uppercase());
        }
        before = c;
    }
    words.retain(|word| !word.is_empty());
    words
}

/// Whether a value looks like a secret, whatever it is called.
pub(super) fn is_secret_value(value: &str) -> bool {
    let mut parts =
        value.split(|c: char| c.is_whitespace() || matches!(c, '=' | ',' | ';' | '"' | '\'' | '&' | '?'));
    has_password(value) || parts.any(|part| begins_like_one(part) || looks_random(part))
}

fn begins_like_one(part: &str) -> bool {
    BEGINNINGS.iter().any(|start| part.strip_prefix(start).is_some_and(|rest| rest.len() >= 6))
        || part.starts_with("-----BEGIN")
}

/// `scheme://user:password@host`
fn has_password(value: &str) -> bool {
    let Some((_, rest)) = value.split_once("://") else { return false };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    authority
        .rsplit_once('@')
        .is_some_and(|(user, _)| user.split_once(':').is_some_and(|(_, word)| !word.is_empty()))
}

/// A long run of letters and digits in no order that a person would choose.
fn looks_random(part: &str) -> bool {
    part.split(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '+' | '_' | '-'))).any(|run| {
        let count = |test: fn(&u8) -> bool| run.bytes().filter(test).count();
        let (digits, letters) = (count(u8::is_ascii_digit), count(u8::is_ascii_alphabetic));
        let separators = run.len() - digits - letters;
        run.len() >= MIN_RANDOM && digits >= 3 && letters >= 3 && separators <= run.len() / 8
    })
}

/// Whether a text before a secret is a scheme's word alone.
pub(super) fn is_scheme(text: &str) -> bool {
    let word = text.trim().trim_end_matches(':').to_ascii_lowercase();
    text.ends_with(' ') && SCHEMES.contains(&word.as_str())
}

/// Whether the query of an address holds a value under a secret's name, or one that looks like a secret.
pub(super) fn in_query(url: &str) -> bool {
    let Some((_, query)) = url.split_once('?') else { return false };
    query.split('&').any(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        !value.is_empty() && (is_secret_name(name) || is_secret_value(value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_secrets_are_known_in_every_spelling() {
        for name in [
            "GITHUB_PERSONAL_ACCESS_TOKEN",
            "apiKey",
            "OPENAI_API_KEY",
            "openai-apikey",
            "X-API-Key",
            "Authorization",
            "DB_PASSWORD",
            "clientSecret",
            "AUTH",
            "SENTRY_DSN",
            "DATABASE_URL",
            "GITLAB_PAT",
            "--api-key",
            "tavilyApiKey",
        ] {
            assert!(is_secret_name(name), "{name}");
        }
        for name in [
            "LOG_LEVEL",
            "PORT",
            "MONKEY",
            "AUTHOR",
            "MAX_TOKENS",
            "AUTH_TYPE",
            "PATH_PREFIX",
            "REGION",
            "KEYBOARD",
            "",
        ] {
            assert!(!is_secret_name(name), "{name}");
        }
    }

    #[test]
    fn secrets_are_known_by_their_looks() {
        for value in [
            "ghp_0123456789abcdefghij",
            "Bearer sk-fake-000000",
            "postgres://user:fake@localhost/db",
            "eyJhbGciOiJub25lIn0.e30.",
            "0123456789abcdef0123456789abcdef",
            "--token=ghp_0123456789",
            "-----BEGIN FAKE KEY-----",
        ] {
            assert!(is_secret_value(value), "{value}");
        }
        for value in [
            "info",
            "https://api.example.com/v1/things",
            "/Users/someone/Library/Application Support",
            "@modelcontextprotocol/server-filesystem",
            "us-east-1",
            "postgres://localhost/db",
            "2025-12-11",
            "",
        ] {
            assert!(!is_secret_value(value), "{value}");
        }
    }

    #[test]
    fn queries_and_schemes_are_told_apart() {
        assert!(in_query("https://a.example/mcp?tavilyApiKey=fake"));
        assert!(in_query("https://a.example/mcp?x=ghp_0123456789abcdef"));
        assert!(!in_query("https://a.example/mcp?profile=free&api_key="));
        assert!(is_scheme("Bearer "));
        assert!(!is_scheme("Bearer"));
        assert!(!is_scheme("hunter2 "));
    }
}
