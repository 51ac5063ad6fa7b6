//! What the bodies of people and organisations have in common.

use roadstead_accounts::{PageRequest, PersonPatch};
use roadstead_model::limits::MAX_NAME_CHARS;

use crate::extract::fields::Fields;
use crate::wire::{cursor_field, limit_field};

/// Longest e-mail address (RFC 5321).
const MAX_EMAIL_CHARS: usize = 254;
/// Longest address of a picture.
const MAX_URL_CHARS: usize = 2_048;
/// Longest time zone or language.
const MAX_WORD_CHARS: usize = 64;
/// Longest short name.
const MAX_SLUG_CHARS: usize = 63;
/// Domains that an organisation may name.
const MAX_DOMAINS: usize = 50;
/// Longest reason for a suspension.
pub(super) const MAX_REASON_CHARS: usize = 500;
/// Longest description of a project.
pub(super) const MAX_DESCRIPTION_CHARS: usize = 2_000;
/// What settings and notes may hold, as JSON.
pub(super) const MAX_OBJECT_BYTES: usize = 16 * 1024;

/// Which part of a list is wanted.
pub(super) fn page(fields: &mut Fields) -> PageRequest {
    PageRequest { after: cursor_field(fields), limit: limit_field(fields) }
}

/// An address that must be there.
pub(super) fn required_email(fields: &mut Fields) -> String {
    let email = fields.required_text("email", MAX_EMAIL_CHARS);
    check_email(fields, "email", &email);
    email
}

/// An address that may be absent, or null.
#[expect(clippy::option_option, reason = "absent, taken away and given are three")]
pub(super) fn clearable_email(fields: &mut Fields, field: &str) -> Option<Option<String>> {
    let email = fields.clearable_text(field, MAX_EMAIL_CHARS);
    if let Some(Some(text)) = &email {
        check_email(fields, field, text);
    }
    email
}

fn check_email(fields: &mut Fields, field: &str, text: &str) {
    if !text.is_empty() && !looks_like_email(text) {
        fields.problem(field, "must be an e-mail address such as ada@example.com");
    }
}

fn looks_like_email(text: &str) -> bool {
    let Some((local, domain)) = text.rsplit_once('@') else { return false };
    !local.is_empty() && !domain.is_empty() && !text.contains(char::is_whitespace)
}

/// A short name that may be absent.
pub(super) fn slug(fields: &mut Fields) -> Option<String> {
    let slug = fields.text("slug", MAX_SLUG_CHARS)?;
    let plain = |one: char| one.is_ascii_lowercase() || one.is_ascii_digit() || one == '-';
    if slug.chars().all(plain) && !slug.starts_with('-') && !slug.ends_with('-') {
        return Some(slug);
    }
    fields.problem("slug", "must be lower-case letters, digits and hyphens between them");
    None
}

/// A domain, as it stands after the `@`.
struct Domain(String);

impl std::str::FromStr for Domain {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let label = |label: &str| {
            !label.is_empty() && label.chars().all(|one| one.is_ascii_alphanumeric() || one == '-')
        };
        let fits = text.len() <= MAX_EMAIL_CHARS && text.contains('.') && text.split('.').all(label);
        if fits { Ok(Self(text.to_ascii_lowercase())) } else { Err(()) }
    }
}

/// Domains of addresses.
pub(super) fn domains(fields: &mut Fields) -> Option<Vec<String>> {
    let domains = fields.words::<Domain>("allowed_email_domains", "domain, such as example.com")?;
    if domains.len() > MAX_DOMAINS {
        fields.problem("allowed_email_domains", format!("must be at most {MAX_DOMAINS}"));
    }
    Some(domains.into_iter().map(|Domain(text)| text).collect())
}

/// What each may change of their own account.
pub(super) fn own_account(fields: &mut Fields) -> PersonPatch {
    let patch = PersonPatch {
        name: fields.text("name", MAX_NAME_CHARS),
        avatar_url: fields.clearable_text("avatar_url", MAX_URL_CHARS),
        timezone: fields.text("timezone", MAX_WORD_CHARS),
        locale: fields.text("locale", MAX_WORD_CHARS),
        settings: fields.small_object("settings", MAX_OBJECT_BYTES),
        ..PersonPatch::default()
    };
    if let Some(Some(url)) = &patch.avatar_url
        && !(url.starts_with("https://") || url.starts_with("http://"))
    {
        fields.problem("avatar_url", "must begin with https:// or http://");
    }
    let zone = |one: char| one.is_ascii_alphanumeric() || "/_+-".contains(one);
    if patch.timezone.as_ref().is_some_and(|text| !text.chars().all(zone)) {
        fields.problem("timezone", "must be a time zone such as Europe/Berlin");
    }
    let language = |one: char| one.is_ascii_alphanumeric() || one == '-';
    if patch.locale.as_ref().is_some_and(|text| !text.chars().all(language)) {
        fields.problem("locale", "must be a language such as en-US");
    }
    patch
}

/// What platform admins may change of anybody's.
pub(super) fn any_account(fields: &mut Fields) -> PersonPatch {
    let email = fields.text("email", MAX_EMAIL_CHARS);
    check_email(fields, "email", email.as_deref().unwrap_or_default());
    PersonPatch {
        email,
        is_admin: fields.flag("is_admin"),
        metadata: fields.small_object("metadata", MAX_OBJECT_BYTES),
        ..own_account(fields)
    }
}
