//! A registry of our own on the loopback address, with packages that do what no honest one does: for npm and for pip.

mod archive;

use std::collections::{BTreeMap, HashMap};
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256, Sha512};

pub use archive::Entry;

/// What is answered, by path.
#[derive(Clone)]
enum Answer {
    Bytes(&'static str, Vec<u8>),
    /// Nothing, for as long as the caller waits.
    Silence,
}

type Answers = Arc<Mutex<HashMap<String, Answer>>>;

/// A package for npm.
#[derive(Debug, Clone)]
pub struct NpmPackage {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// What its `package.json` says beside both.
    pub manifest: Value,
    /// Its files, below the archive's own folder `package/`.
    pub files: Vec<Entry>,
    /// Whether the registry tells the hash of something else.
    pub has_wrong_hash: bool,
}

/// A wheel for pip.
#[derive(Debug, Clone)]
pub struct Wheel {
    /// Its name, with underscores where the index has hyphens.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Lines of its metadata, such as `Requires-Dist: …`.
    pub metadata: Vec<String>,
    /// Its entry points.
    pub entry_points: String,
    /// Its files.
    pub files: Vec<Entry>,
    /// Whether the index tells the hash of something else.
    pub has_wrong_hash: bool,
}

/// The registry; it answers as long as the test runs.
#[derive(Clone)]
pub struct Registry {
    address: SocketAddr,
    answers: Answers,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Registry {
    /// One that has nothing.
    pub fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        let this = Self { address, answers: Answers::default(), asked: Arc::default() };
        let served = this.clone();
        std::thread::spawn(move || {
            for caller in listener.incoming().flatten() {
                let served = served.clone();
                std::thread::spawn(move || served.serve(caller));
            }
        });
        this
    }

    /// Where it answers, without a slash at the end.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// What a package manager has to be told.
    pub fn environment(&self) -> BTreeMap<String, String> {
        let url = self.url();
        [
            ("npm_config_registry", format!("{url}/")),
            // A forged archive stays forged; npm would wait ten seconds before it looks again.
            ("npm_config_fetch_retries", "0".to_owned()),
            ("PIP_INDEX_URL", format!("{url}/simple")),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }

    /// What it was asked for, in order.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes a package for npm, beside the versions that it has.
    pub fn npm(&self, package: &NpmPackage) {
        let NpmPackage { name, version, .. } = package;
        let mut manifest = package.manifest.clone();
        (manifest["name"], manifest["version"]) = (json!(name), json!(version));
        let mut files = package.files.clone();
        files.insert(0, Entry::file("package.json", manifest.to_string()));
        let tarball = archive::tarball(&files);
        let hashed: &[u8] = if package.has_wrong_hash { b"something else" } else { &tarball };
        let short = name.rsplit('/').next().unwrap_or(name);
        let path = format!("/{name}/-/{short}-{version}.tgz");
        manifest["dist"] = json!({
            "tarball": format!("{}{path}", self.url()),
            "integrity": format!("sha512-{}", STANDARD.encode(Sha512::digest(hashed))),
        });
        self.answer(&path, Answer::Bytes("application/octet-stream", tarball));
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        let of_all = format!("/{}", name.replace('/', "%2f"));
        let mut packument = match answers.get(&of_all) {
            Some(Answer::Bytes(_, text)) => serde_json::from_slice(text).expect("we wrote it"),
            _ => json!({ "name": name, "dist-tags": {}, "versions": {} }),
        };
        packument["dist-tags"]["latest"] = json!(version);
        packument["versions"][version] = manifest;
        answers.insert(of_all, Answer::Bytes("application/json", packument.to_string().into_bytes()));
    }

    /// Takes a wheel.
    pub fn wheel(&self, wheel: &Wheel) {
        let Wheel { name, version, .. } = wheel;
        let mut files = wheel.files.clone();
        let info = format!("{name}-{version}.dist-info");
        let more = wheel.metadata.iter().fold(String::new(), |text, line| text + line + "\n");
        let metadata = format!("Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{more}");
        files.push(Entry::file(&format!("{info}/METADATA"), metadata));
        let kind = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n";
        files.push(Entry::file(&format!("{info}/WHEEL"), kind));
        files.push(Entry::file(&format!("{info}/entry_points.txt"), wheel.entry_points.clone()));
        let record = files.iter().fold(String::new(), |text, entry| text + &entry.path + ",,\n");
        files.push(Entry::file(&format!("{info}/RECORD"), record));
        let bytes = archive::zip(&files);
        let hashed: &[u8] = if wheel.has_wrong_hash { b"something else" } else { &bytes };
        let hash = hex::encode(Sha256::digest(hashed));
        let file = format!("{name}-{version}-py3-none-any.whl");
        let page = format!(
            "<!DOCTYPE html><html><body><a href=\"/files/{file}#sha256={hash}\">{file}</a></body></html>"
        );
        self.answer(&format!("/files/{file}"), Answer::Bytes("application/octet-stream", bytes));
        let index = format!("/simple/{}/", name.replace('_', "-"));
        self.answer(&index, Answer::Bytes("text/html", page.into_bytes()));
    }

    /// Never answers for a path.
    pub fn hang(&self, path: &str) {
        self.answer(path, Answer::Silence);
    }

    fn answer(&self, path: &str, answer: Answer) {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner).insert(path.to_owned(), answer);
    }

    fn serve(&self, caller: TcpStream) {
        let Ok(reading) = caller.try_clone() else { return };
        let (mut lines, mut caller) = (BufReader::new(reading), caller);
        loop {
            let mut first = String::new();
            if lines.read_line(&mut first).unwrap_or(0) == 0 {
                return;
            }
            let mut header = String::new();
            while lines.read_line(&mut header).is_ok_and(|length| length > 2) {
                header.clear();
            }
            let path =
                first.split(' ').nth(1).unwrap_or_default().split(['?', '#']).next().unwrap_or_default();
            let path = path.replace("%2F", "%2f");
            self.asked.lock().unwrap_or_else(PoisonError::into_inner).push(path.clone());
            let found = self.answers.lock().unwrap_or_else(PoisonError::into_inner).get(&path).cloned();
            let (status, kind, body) = match found {
                Some(Answer::Bytes(kind, body)) => ("200 OK", kind, body),
                None => ("404 Not Found", "application/json", b"{\"error\":\"Not found\"}".to_vec()),
                Some(Answer::Silence) => {
                    // Until the caller gives up.
                    let _ = lines.read_line(&mut first);
                    return;
                }
            };
            let head = format!(
                "HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\r\n",
                body.len()
            );
            if caller.write_all(head.as_bytes()).and_then(|()| caller.write_all(&body)).is_err() {
                return;
            }
        }
    }
}

impl NpmPackage {
    /// An honest one with a program that says its version.
    pub fn honest(name: &str, version: &str) -> Self {
        let run = format!("#!/usr/bin/env node\nconsole.log('{name} {version}');\n");
        Self {
            name: name.to_owned(),
            version: version.to_owned(),
            manifest: json!({ "bin": "run.js" }),
            files: vec![Entry::file("run.js", run)],
            has_wrong_hash: false,
        }
    }
}

impl Wheel {
    /// An honest one with a program that says its version.
    pub fn honest(name: &str, version: &str) -> Self {
        let text = format!("def main():\n    print('{name} {version}')\n");
        Self {
            name: name.to_owned(),
            version: version.to_owned(),
            metadata: Vec::new(),
            entry_points: format!("[console_scripts]\n{name} = {name}:main\n"),
            files: vec![Entry::file(&format!("{name}.py"), text)],
            has_wrong_hash: false,
        }
    }
}
