//! The private cluster with a real PostgreSQL: made, reused, recovered after every kind of end, and closed to others.

#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

#[path = "postgres/place.rs"]
mod place;

#[path = "postgres/archive_server.rs"]
mod archive_server;

use std::collections::HashSet;
use std::fs;
use std::time::{Duration, Instant};

use roadstead::postgres::{PostgresError, Status, Step, StopMode};
use sqlx::{AssertSqlSafe, ConnectOptions, Executor, PgConnection};

use archive_server::ArchiveServer;
use place::{Place, is_root, kill};

const NOTES: &str =
    "create table notes (id bigint generated always as identity primary key, text text not null)";

async fn show(connection: &mut PgConnection, setting: &str) -> String {
    let statement = AssertSqlSafe(format!("show {setting}"));
    sqlx::query_scalar(statement).fetch_one(connection).await.unwrap()
}

async fn count(connection: &mut PgConnection) -> i64 {
    sqlx::query_scalar("select count(*) from notes").fetch_one(connection).await.unwrap()
}

/// The database's code for a refused right.
fn is_denied<T: std::fmt::Debug>(result: Result<T, sqlx::Error>) -> bool {
    result.unwrap_err().as_database_error().and_then(|error| error.code().map(|code| code == "42501"))
        == Some(true)
}

#[tokio::test]
async fn a_first_start_makes_a_cluster_and_says_each_step() {
    let place = Place::new();
    assert_eq!(place.postgres().status().unwrap(), Status::Absent);
    let (running, steps) = place.start_with_steps().await;
    let expected = [Step::Finding, Step::Initialising, Step::Starting, Step::Ready { reused: false }];
    assert_eq!(steps, expected);
    let mut owner = running.owner().connect().await.unwrap();
    assert_eq!(show(&mut owner, "server_encoding").await, "UTF8");
    assert_eq!(show(&mut owner, "lc_collate").await, "C");
    for (setting, value) in [
        ("fsync", "on"),
        ("full_page_writes", "on"),
        ("data_checksums", "on"),
        ("jit", "off"),
        ("timezone", "UTC"),
        ("listen_addresses", ""),
        ("password_encryption", "scram-sha-256"),
    ] {
        assert_eq!(show(&mut owner, setting).await, value, "{setting}");
    }
    let found = place.postgres().status().unwrap();
    assert!(matches!(found, Status::Running { pid, .. } if pid == running.pid()), "{found:?}");
}

#[tokio::test]
async fn the_application_uses_the_owners_tables_and_changes_none() {
    let place = Place::new();
    let running = place.start().await;
    let mut owner = running.owner().connect().await.unwrap();
    owner.execute(NOTES).await.unwrap();
    let mut app = running.app().connect().await.unwrap();
    app.execute("insert into notes (text) values ('first')").await.unwrap();
    app.execute("update notes set text = 'second'").await.unwrap();
    assert_eq!(count(&mut app).await, 1);
    for refused in [
        "create table mine (id int)",
        "create temporary table mine (id int)",
        "create schema mine",
        "alter table notes add column more int",
        "drop table notes",
        "truncate notes",
        "create role someone",
        "set role roadstead_owner",
    ] {
        assert!(is_denied(app.execute(refused).await), "{refused}");
    }
    app.execute("delete from notes").await.unwrap();
    assert!(is_denied(owner.execute("create role someone").await), "the owner is no superuser");
}

#[tokio::test]
async fn a_running_cluster_is_reused_within_300_ms() {
    let place = Place::new();
    let first = place.start().await;
    let pid = first.pid();
    drop(first);
    let mut fastest = Duration::MAX;
    // Beside other tests, one may wait for a processor; all of them do not.
    for _ in 0..20 {
        if fastest < Duration::from_millis(300) {
            break;
        }
        let begun = Instant::now();
        let (again, steps) = place.start_with_steps().await;
        fastest = fastest.min(begun.elapsed());
        assert_eq!((again.pid(), again.reused()), (pid, true));
        assert_eq!(steps, [Step::Ready { reused: true }]);
    }
    println!("reused in {fastest:?}");
    assert!(fastest < Duration::from_millis(300), "{fastest:?}");
}

#[tokio::test]
async fn a_running_cluster_is_found_where_it_listens_not_where_we_would_listen() {
    let place = Place::new();
    let first = place.start().await;
    let mut settings = place.settings();
    settings.socket_folder = place.root().join("elsewhere");
    let again = place.start_as(settings).await.unwrap();
    assert_eq!(again.socket_folder(), first.socket_folder());
    again.app().connect().await.unwrap();
}

#[tokio::test]
async fn a_killed_server_is_noticed_and_recovers_what_was_committed() {
    let place = Place::new();
    let running = place.start().await;
    let mut owner = running.owner().connect().await.unwrap();
    owner.execute(NOTES).await.unwrap();
    owner.execute("insert into notes (text) select 'kept' from generate_series(1, 1000)").await.unwrap();
    kill(running.pid(), nix::sys::signal::Signal::SIGKILL);
    tokio::time::timeout(Duration::from_secs(10), running.watch()).await.unwrap();
    assert!(place.cluster().join("postmaster.pid").exists(), "a killed server leaves its lock file");
    assert_eq!(place.postgres().status().unwrap(), Status::Stopped);
    let again = place.start().await;
    assert!(!again.reused() && again.pid() != running.pid());
    assert_eq!(count(&mut again.app().connect().await.unwrap()).await, 1000);
}

#[tokio::test]
async fn a_session_that_outlives_its_server_does_not_block_the_next() {
    let place = Place::new();
    let running = place.start().await;
    let mut busy = running.owner().connect().await.unwrap();
    let session: i32 = sqlx::query_scalar("select pg_backend_pid()").fetch_one(&mut busy).await.unwrap();
    let endless = busy.execute("do $$ begin loop end loop; end $$");
    let killed = async {
        place::until(|| place::is_busy(session)).await;
        kill(running.pid(), nix::sys::signal::Signal::SIGKILL);
        running.watch().await;
        assert!(place::is_busy(session), "it spins on, unaware");
        place.start().await
    };
    let (ended, again) = tokio::join!(endless, killed);
    assert!(ended.is_err());
    assert!(!again.reused());
}

#[tokio::test]
async fn a_process_id_that_has_a_new_owner_neither_passes_for_the_server_nor_blocks_it() {
    let place = Place::new();
    let running = place.start().await;
    let (lock, socket_lock) = (place.cluster().join("postmaster.pid"), place.socket_lock());
    let left = fs::read_to_string(&lock).unwrap();
    place.postgres().stop(StopMode::Fast).await.unwrap();
    let stranger = place.stranger();
    let stale = left.replacen(&running.pid().to_string(), &stranger.id().to_string(), 1);
    place.write_as_server(&lock, &stale);
    place.write_as_server(&socket_lock, &stale);
    assert_eq!(place.postgres().status().unwrap(), Status::Stopped);
    place.postgres().stop(StopMode::Fast).await.unwrap();
    assert!(stranger.is_alive(), "a stranger is never signalled");
    let again = place.start().await;
    again.app().connect().await.unwrap();
    assert!(stranger.is_alive());
}

#[tokio::test]
async fn nobody_enters_without_the_password_and_nothing_listens_on_tcp() {
    let place = Place::new();
    let running = place.start().await;
    for role in ["roadstead_admin", "roadstead_owner", "roadstead_app"] {
        for database in ["roadstead", "postgres", "template1"] {
            let wrong = running.app().username(role).password("0").database(database);
            let refused = wrong.connect().await.unwrap_err();
            let code = refused.as_database_error().and_then(|error| error.code().map(String::from));
            assert_eq!(code.as_deref(), Some("28P01"), "{role} in {database}: {refused}");
        }
    }
    let rules = fs::read_to_string(place.folder().join("pg_hba.conf")).unwrap();
    let rules: Vec<&str> = rules.lines().filter(|line| !line.starts_with('#')).collect();
    // The second is for base backups: who may do everything, and needs its password as well.
    assert_eq!(rules, ["local all all scram-sha-256", "local replication roadstead_admin scram-sha-256"]);
    let open: HashSet<u64> = place::sockets_of(running.pid());
    assert!(!open.is_empty(), "its unix socket is seen");
    assert!(open.is_disjoint(&place::internet_sockets()));
}

#[tokio::test]
async fn the_server_runs_in_a_session_of_its_own_as_a_user_without_privileges() {
    let place = Place::new();
    let running = place.start().await;
    let of = |pid| nix::unistd::getsid(Some(nix::unistd::Pid::from_raw(pid))).unwrap();
    let server = i32::try_from(running.pid()).unwrap();
    assert_eq!(of(server).as_raw(), server);
    let status = fs::read_to_string(format!("/proc/{server}/status")).unwrap();
    let uids = status.lines().find_map(|line| line.strip_prefix("Uid:")).unwrap();
    assert!(uids.split_whitespace().all(|uid| uid != "0"), "{uids}");
    let groups = status.lines().find_map(|line| line.strip_prefix("Groups:")).unwrap();
    if is_root() {
        assert!(groups.split_whitespace().all(|gid| gid != "0"), "{groups}");
    }
}

#[tokio::test]
async fn what_is_printed_of_a_running_server_shows_no_password() {
    let place = Place::new();
    let running = place.start().await;
    let printed = format!("{running:?} {:?}", place.postgres());
    for role in ["admin", "owner", "app"] {
        let password = fs::read_to_string(place.folder().join(format!("{role}.password"))).unwrap();
        assert!(password.len() == 64 && !printed.contains(&password), "{role}");
    }
}

#[tokio::test]
async fn stop_ends_the_server_and_reset_removes_the_cluster() {
    let place = Place::new();
    let running = place.start().await;
    place.postgres().stop(StopMode::Fast).await.unwrap();
    assert_eq!(place.postgres().status().unwrap(), Status::Stopped);
    running.watch().await;
    place.postgres().stop(StopMode::Fast).await.unwrap();
    let again = place.start().await;
    place.postgres().stop(StopMode::Immediate).await.unwrap();
    again.watch().await;
    place.start().await;
    place.postgres().reset().await.unwrap();
    assert_eq!(place.postgres().status().unwrap(), Status::Absent);
    assert!(!place.folder().exists() && !place.socket_lock().parent().unwrap().exists());
}

#[tokio::test]
async fn a_lost_password_of_a_role_is_replaced_and_the_way_in_is_asked_for() {
    let place = Place::new();
    place.start().await;
    fs::remove_file(place.folder().join("app.password")).unwrap();
    let again = place.start().await;
    assert!(again.reused());
    again.app().connect().await.unwrap();
    fs::remove_file(place.folder().join("admin.password")).unwrap();
    let refused = place.try_start().await.unwrap_err();
    assert!(matches!(refused, PostgresError::PasswordLost { .. }), "{refused}");
}

#[tokio::test]
async fn a_server_that_knows_another_password_is_named() {
    let place = Place::new();
    let running = place.start().await;
    fs::write(place.folder().join("admin.password"), "0".repeat(64)).unwrap();
    let refused = place.try_start().await.unwrap_err();
    assert!(matches!(refused, PostgresError::Refused { pid, .. } if pid == running.pid()), "{refused}");
}

#[tokio::test]
async fn a_cluster_left_half_made_is_made_anew() {
    let place = Place::new();
    let half = place.folder().join("cluster.new");
    fs::create_dir_all(&half).unwrap();
    place::let_pass(&place.folder());
    fs::write(half.join("PG_VERSION"), "15\n").unwrap();
    place.start().await.app().connect().await.unwrap();
    assert!(!half.exists());
}

#[tokio::test]
async fn a_start_that_fails_shows_the_servers_own_words_and_leaves_nothing_running() {
    let place = Place::new();
    place.start().await;
    place.postgres().stop(StopMode::Fast).await.unwrap();
    fs::remove_file(place.cluster().join("global/pg_control")).unwrap();
    let refused = place.try_start().await.unwrap_err();
    assert!(matches!(refused, PostgresError::Ended { .. }), "{refused}");
    assert!(refused.to_string().contains("pg_control"), "{refused}");
    assert_eq!(place.postgres().status().unwrap(), Status::Stopped);
}

#[tokio::test]
async fn a_data_folder_that_the_servers_user_cannot_reach_is_named() {
    if !is_root() {
        return; // An ordinary user's server is that user: what it owns, it reaches.
    }
    let place = Place::closed();
    let refused = place.try_start().await.unwrap_err();
    let PostgresError::Unreachable { folder, .. } = &refused else { panic!("{refused}") };
    assert_eq!(folder, place.root());
}

#[tokio::test]
async fn missing_programs_are_one_sentence_that_says_how_to_get_them() {
    let place = Place::new();
    let refused = place.start_as(place.without_programs(None)).await.unwrap_err();
    let PostgresError::NoPrograms { source: None, .. } = &refused else { panic!("{refused}") };
    let sentence = refused.to_string();
    assert!(sentence.contains("apt install postgresql") && sentence.contains("DATABASE_URL"), "{sentence}");
    assert_eq!(sentence.lines().count(), 1);
    assert!(!place.folder().join("cluster.new").exists());
}

#[tokio::test]
async fn programs_are_fetched_once_when_there_are_none() {
    let place = Place::new();
    let server = ArchiveServer::start(place.root()).await;
    let settings = place.without_programs(Some(server.url()));
    let (running, steps) = place.start_as_with_steps(settings.clone()).await;
    let running = running.unwrap();
    running.app().connect().await.unwrap();
    let fetched: Vec<(u64, Option<u64>)> = steps
        .iter()
        .filter_map(|step| match step {
            Step::Downloading { bytes, total } => Some((*bytes, *total)),
            _ => None,
        })
        .collect();
    let (last, total) = *fetched.last().unwrap();
    assert!(fetched.len() > 1 && Some(last) == total, "{last} of {total:?} in {} steps", fetched.len());
    assert!(fetched.is_sorted());
    let program = fs::read_link(format!("/proc/{}/exe", running.pid())).unwrap();
    assert!(program.starts_with(place.root().join("data/programs")), "{}", program.display());
    place.postgres().stop(StopMode::Fast).await.unwrap();
    let asked = server.requests();
    let (again, _) = place.start_as_with_steps(settings).await;
    again.unwrap();
    assert_eq!(server.requests(), asked, "the second start fetches nothing");
}

#[tokio::test]
async fn an_archive_that_is_not_what_was_published_is_not_unpacked() {
    let place = Place::new();
    let server = ArchiveServer::start_with_checksum(place.root(), &"0".repeat(64)).await;
    let refused = place.start_as(place.without_programs(Some(server.url()))).await.unwrap_err();
    let cause = std::error::Error::source(&refused).unwrap().to_string();
    assert!(cause.contains("does not match its checksum"), "{refused}: {cause}");
    assert!(!place.root().join("data/programs").exists());
}

#[tokio::test]
async fn an_archive_server_that_does_not_answer_is_named() {
    let place = Place::new();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("http://{free}/releases");
    let refused = place.start_as(place.without_programs(Some(url.clone()))).await.unwrap_err();
    assert!(refused.to_string().contains("DATABASE_URL"), "{refused}");
    assert!(std::error::Error::source(&refused).unwrap().to_string().contains(&url));
}

/// The tests above run as whoever runs the tests; as root, those that matter run once more as an ordinary user.
#[test]
fn an_ordinary_user_gets_the_same() {
    if !is_root() {
        return; // Then all the others have shown it.
    }
    let names = [
        "a_first_start_makes_a_cluster_and_says_each_step",
        "the_application_uses_the_owners_tables_and_changes_none",
        "a_running_cluster_is_reused_within_300_ms",
        "a_killed_server_is_noticed_and_recovers_what_was_committed",
        "a_process_id_that_has_a_new_owner_neither_passes_for_the_server_nor_blocks_it",
        "nobody_enters_without_the_password_and_nothing_listens_on_tcp",
        "the_server_runs_in_a_session_of_its_own_as_a_user_without_privileges",
    ];
    let output = place::as_ordinary_user(&names);
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains(&format!("{} passed; 0 failed", names.len())), "{said}");
}
