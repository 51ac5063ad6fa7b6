//! Canaries: how they are made, told, and looked for.

use std::io::Read;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use memchr::memmem;
use roadstead_test_support::app::{App, programs};
use serde_json::{Value, json};

/// Where instances and the database have their sockets when the service runs as root.
pub const RUN_FOLDER: &str = "/run/roadstead";

/// What a canary begins with.
const MARK: &str = "ghp_";
/// Where the server below wraps a line.
const WRAPPED_AT: usize = 11;

/// A server that says its secret in every way at once, then behaves.
pub const BLABBER: &str = r#"
    $| = 1; STDERR->autoflush(1); my $t = $ENV{CANARY};
    syswrite STDERR, "plain $t\n";
    syswrite STDERR, "halves " . substr($t, 0, 9); select undef, undef, undef, 0.05; syswrite STDERR, substr($t, 9) . "\n";
    syswrite STDERR, "Authorization: Bearer $t, {\"key\": \"$t\"}, https://user:$t\@example.com/?k=$t\n";
    my $u = $t; $u =~ s/([^A-Za-z0-9_.~-])/sprintf("%%%02x", ord $1)/ge;
    syswrite STDERR, "forms " . encode_base64("user:$t", "") . " " . encode_base64("u:$t\@host", "") . " " . unpack("H*", $t) . " $u\n";
    syswrite STDERR, "wrapped\n" . join("\n", unpack("(A11)*", $t)) . "\n" . encode_base64("key:$t") . "\n";
    syswrite STDERR, ("x" x 65000) . " $t " . ("y" x 65000) . "\n";
    syswrite STDOUT, "no json $t\n";
    syswrite STDERR, "said\n";
"#;

/// What must not be seen, and how it is called in a failure: the failure itself must not show it.
pub struct Secret {
    pub called: &'static str,
    pub value: String,
}

/// No file holds a secret in clear. `spot` is a text that a file does hold: the look itself works.
pub fn assert_files_are_silent(data: &Path, secrets: &[Secret], spot: Option<&str>) {
    let mut files = files_below(data);
    files.extend(files_below(Path::new(RUN_FOLDER)));
    let mut spotted = false;
    let mut held = false;
    for path in files {
        let Some(bytes) = contents(&path) else { continue };
        spotted |= spot.is_some_and(|spot| memmem::find(&bytes, spot.as_bytes()).is_some());
        for secret in secrets {
            if secret.called == "the API key" && path == data.join("profile.json") {
                held |= holds(&bytes, secret);
                continue;
            }
            assert!(!holds(&bytes, secret), "{} holds {}", path.display(), secret.called);
        }
    }
    assert!(spot.is_none() || spotted, "the look does not find what there is");
    assert!(held, "the profile holds the key");
}

pub fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        // Another service's folders come and go.
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => folders.push(entry.path()),
                Ok(kind) if kind.is_file() => found.push(entry.path()),
                _ => {}
            }
        }
    }
    found
}

pub fn contents(path: &Path) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    std::fs::File::open(path).ok()?.read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

/// Whether bytes hold a secret: a half of it as it is, as when a line was cut; or all of it, in hexadecimal or base64.
pub fn holds(bytes: &[u8], secret: &Secret) -> bool {
    let value = secret.value.as_bytes();
    let (start, end) = (&value[..value.len() / 2], &value[value.len() / 2..]);
    let mut needles = vec![start.to_vec(), end.to_vec(), hex::encode(value).into_bytes()];
    needles.push(hex::encode_upper(value).into_bytes());
    if secret.value.starts_with(MARK) {
        // As when lines were wrapped. Of our own keys and tokens the beginning is told.
        needles.extend(value.chunks_exact(WRAPPED_AT).map(<[u8]>::to_vec));
    }
    for before in 0..3 {
        // Without the characters that depend on what is in front and behind.
        let encoded = STANDARD_NO_PAD.encode([&[0; 2][..before], value].concat());
        let middle = &encoded[4..encoded.len() - 4];
        needles.push(middle.as_bytes().to_vec());
        needles.push(middle.replace('+', "-").replace('/', "_").into_bytes());
    }
    needles.iter().any(|needle| memmem::find(bytes, needle).is_some())
}

/// A type that runs a script which knows its secret.
pub async fn define(app: &App, name: &str, script: &str) {
    // An argument is one line.
    let script = script.replace('\n', " ");
    let spec = json!({
        "name": name, "display_name": name, "program": "/usr/bin/perl", "args": ["-MIO::Handle", "-MMIME::Base64", "-e", script, programs().join("roadstead-echo")],
        "env": {"CANARY": "${credential.token}"}, "credential_slots": [{"name": "token", "label": "Token"}], "ready_timeout_s": 20,
    });
    let answer = app.ask("POST", "/types", Some(spec)).await;
    assert_eq!(answer.status, 201, "{answer:?}");
}

#[track_caller]
pub fn text(value: &Value) -> &str {
    value.as_str().expect("a text")
}

/// Something that occurs nowhere by chance.
pub fn canary() -> String {
    let mut bytes = [0_u8; 24];
    std::fs::File::open("/dev/urandom")
        .and_then(|mut file| file.read_exact(&mut bytes))
        .expect("random bytes");
    // Long runs of letters: a half of it is as rare as the whole. In its middle, what URLs escape.
    let letters = bytes.iter().fold(String::new(), |text, byte| {
        format!("{text}{}{}", char::from(b'A' + byte % 26), char::from(b'a' + (byte / 26) % 26))
    });
    format!("{MARK}{}/+&{}", &letters[..24], &letters[24..])
}

/// Something that is no secret, to be found.
pub fn marker() -> String {
    format!("marker-{}", canary().replace(|c: char| !c.is_ascii_alphabetic(), ""))
}
