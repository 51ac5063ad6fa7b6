//! A real database per test, in one private cluster per test process.
//!
//! The cluster starts with the first test that asks and is gone with the process, however that ends: a shell holds
//! the reading end of a pipe whose writing end only this process has, and takes everything away at its end of file.
//! Each test's database is a copy of one that was migrated once.

use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use nix::unistd::{User, chown, geteuid};
use roadstead_store::{PgConnectOptions, Store, migrate, provision};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor};
use tokio::sync::OnceCell;

/// The cluster's superuser, who owns every database.
const OWNER: &str = "roadstead_owner";
/// The database that the tests' databases are copies of.
const TEMPLATE: &str = "roadstead_template";
/// A new cluster on a busy machine needs seconds; one that needs this long will never be there.
const START_TIMEOUT: Duration = Duration::from_mins(1);
/// Between two looks at a cluster that starts.
const POLL: Duration = Duration::from_millis(10);
/// Connections of one test's store.
const CONNECTIONS: u32 = 20;

/// Makes a cluster, runs it until its standard input ends, and leaves nothing.
const KEEPER: &str = r#"
bin=$1 folder=$2 owner=$3
"$bin/initdb" -D "$folder/data" -U "$owner" -A trust -E UTF8 --locale=C --no-sync >"$folder/log" 2>&1 || exit 1
"$bin/postgres" -D "$folder/data" -k "$folder" -c listen_addresses= -c max_connections=300 \
  -c fsync=off -c full_page_writes=off -c max_locks_per_transaction=256 >>"$folder/log" 2>&1 &
server=$!
cat >/dev/null
kill -QUIT "$server"
wait "$server"
cd /
rm -rf "$folder"
"#;

static CLUSTER: OnceCell<Cluster> = OnceCell::const_new();

/// A database of one test, with every migration applied unless it says otherwise.
#[derive(Debug)]
pub struct TestDatabase {
    /// The store, as the application's role.
    pub store: Store,
    /// How the schema's owner connects.
    pub owner: PgConnectOptions,
    /// How the application connects.
    pub application: PgConnectOptions,
}

impl TestDatabase {
    /// A database with the newest schema.
    pub async fn new() -> Self {
        Self::copy_of(TEMPLATE).await
    }

    /// A database without a schema; the application's role may connect to it and do nothing else.
    pub async fn empty() -> Self {
        Self::copy_of("template0").await
    }

    async fn copy_of(template: &str) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let cluster = CLUSTER.get_or_init(Cluster::start).await;
        let name = format!("test_{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        let mut connection = cluster.options("postgres").connect().await.expect("the cluster answers");
        connection
            .execute(AssertSqlSafe(format!("create database {name} template {template}")))
            .await
            .expect("a database can be copied");
        connection.close().await.expect("a connection can be closed");
        let owner = cluster.options(&name);
        let application = owner.clone().username(roadstead_store::APPLICATION_ROLE);
        let store = Store::connect(application.clone(), CONNECTIONS).await.expect("the application connects");
        Self { store, owner, application }
    }

    /// The schema as `pg_dump` writes it down.
    pub async fn schema(&self) -> String {
        let cluster = CLUSTER.get_or_init(Cluster::start).await;
        let pg_dump = folder_of(&["pg_dump"]).expect("PostgreSQL's pg_dump is installed").join("pg_dump");
        let database = self.owner.get_database().expect("a test's database has a name");
        let output = command(&pg_dump)
            .args(["--schema-only", "--username", OWNER, "--dbname", database, "--host"])
            .arg(&cluster.folder)
            .output()
            .expect("pg_dump runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let dump = String::from_utf8(output.stdout).expect("a dump is text");
        // Lines of psql's own hold a random word.
        dump.lines().filter(|line| !line.starts_with('\\')).collect::<Vec<_>>().join("\n")
    }
}

/// The private cluster of this process.
#[derive(Debug)]
struct Cluster {
    folder: PathBuf,
    /// Holds the pipe open; nobody waits for it, because it outlives us by the moment it needs to clean up.
    keeper: Child,
}

impl Cluster {
    async fn start() -> Self {
        let programs = folder_of(&["initdb", "postgres"])
            .expect("PostgreSQL's initdb and postgres are on PATH or in /usr/lib/postgresql");
        let folder =
            tempfile::Builder::new().prefix("roadstead-test-").tempdir().expect("a temporary folder").keep();
        let keeper = keep(&programs, &folder).expect("a shell starts");
        let mut cluster = Self { folder, keeper };
        cluster.wait_until_ready().await;
        provision::prepare(&cluster.options("postgres"), TEMPLATE, "application")
            .await
            .expect("the template is made");
        migrate::up(&cluster.options(TEMPLATE), None).await.expect("the migrations run");
        cluster
    }

    fn options(&self, database: &str) -> PgConnectOptions {
        PgConnectOptions::new_without_pgpass().socket(&self.folder).username(OWNER).database(database)
    }

    async fn wait_until_ready(&mut self) {
        let begun = Instant::now();
        loop {
            let Err(error) = self.options("postgres").connect().await else { return };
            let ended = self.keeper.try_wait().expect("a child can be asked for").is_some();
            if ended || begun.elapsed() > START_TIMEOUT {
                let log = std::fs::read_to_string(self.folder.join("log")).unwrap_or_default();
                panic!("the test cluster does not start: {error}\n{log}");
            }
            tokio::time::sleep(POLL).await;
        }
    }
}

/// Starts the shell that runs the cluster; as another user when we are root, as whom PostgreSQL refuses to run.
fn keep(programs: &Path, folder: &Path) -> io::Result<Child> {
    let mut shell = command(Path::new("/bin/sh"));
    shell.args(["-c", KEEPER, "keeper"]).arg(programs).arg(folder).arg(OWNER);
    // A group of its own: Ctrl-C ends us, and our end ends the cluster.
    shell.stdin(Stdio::piped()).current_dir("/").process_group(0);
    if geteuid().is_root() {
        let user = ["postgres", "nobody"].into_iter().find_map(|name| User::from_name(name).ok().flatten());
        let user =
            user.ok_or_else(|| io::Error::other("there is neither a user postgres nor a user nobody"))?;
        chown(folder, Some(user.uid), Some(user.gid))?;
        shell.uid(user.uid.as_raw()).gid(user.gid.as_raw());
    }
    shell.spawn()
}

/// The folder of programs of PostgreSQL's: on PATH, else the newest that the distribution installed.
fn folder_of(programs: &[&str]) -> Option<PathBuf> {
    #[expect(clippy::disallowed_methods, reason = "the one place where tests look for PostgreSQL")]
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let mut installed: Vec<(u32, PathBuf)> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin"))))
        .collect();
    installed.sort_unstable();
    folders.extend(installed.into_iter().rev().map(|(_, folder)| folder));
    folders.into_iter().find(|folder| programs.iter().all(|name| folder.join(name).is_file()))
}

#[expect(clippy::disallowed_methods, reason = "the one place where tests start PostgreSQL's programs")]
fn command(program: &Path) -> Command {
    Command::new(program)
}
