//! A way to a database that can be cut.

use std::path::PathBuf;

use roadstead_test_support::database::TestDatabase;
use tempfile::TempDir;
use tokio::io::copy_bidirectional;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// The name of PostgreSQL's socket in its folder.
const SOCKET: &str = ".s.PGSQL.5432";

/// The way. Dropped, it is gone.
pub(crate) struct Cut {
    folder: TempDir,
    database: String,
    application: String,
    owner: String,
    /// Whether connections are let through; those that are open end when it changes.
    open: watch::Sender<bool>,
    /// Aborted with it.
    _serving: JoinSet<()>,
}

impl Cut {
    pub(crate) fn before(database: &TestDatabase) -> Self {
        let folder = tempfile::Builder::new().prefix("rs-way-").tempdir().expect("a folder");
        let listener = UnixListener::bind(folder.path().join(SOCKET)).expect("a socket");
        let upstream = database.owner.get_socket().expect("a test's database has a socket").join(SOCKET);
        let open = watch::Sender::new(true);
        let mut serving = JoinSet::new();
        serving.spawn(serve(listener, upstream, open.subscribe()));
        Self {
            folder,
            database: database.owner.get_database().expect("it has a name").to_owned(),
            application: database.application.get_username().to_owned(),
            owner: database.owner.get_username().to_owned(),
            open,
            _serving: serving,
        }
    }

    /// What tells the service to go this way.
    pub(crate) fn environment(&self) -> Vec<(String, String)> {
        let url = |user: &str| {
            let folder = self.folder.path().to_string_lossy().replace('/', "%2F");
            format!("postgres://{user}@{folder}/{}", self.database)
        };
        vec![
            ("DATABASE_URL".to_owned(), url(&self.application)),
            ("ROADSTEAD_OWNER_DATABASE_URL".to_owned(), url(&self.owner)),
        ]
    }

    /// Every connection breaks, and no new one comes about.
    pub(crate) fn close(&self) {
        self.open.send_replace(false);
    }

    /// New connections are let through.
    pub(crate) fn open(&self) {
        self.open.send_replace(true);
    }

    /// Every connection breaks; new ones are let through.
    pub(crate) fn drop_connections(&self) {
        self.open.send_replace(true);
    }
}

async fn serve(listener: UnixListener, upstream: PathBuf, open: watch::Receiver<bool>) {
    let mut connections = JoinSet::new();
    while let Ok((mut near, _)) = listener.accept().await {
        let (mut open, upstream) = (open.clone(), upstream.clone());
        if !*open.borrow_and_update() {
            continue;
        }
        connections.spawn(async move {
            let Ok(mut far) = UnixStream::connect(upstream).await else { return };
            tokio::select! {
                _ = copy_bidirectional(&mut near, &mut far) => {}
                _ = open.changed() => {}
            }
        });
    }
}
