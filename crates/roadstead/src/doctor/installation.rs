//! What belongs to one data folder: its files, its key, its sockets, its database, and what an earlier run left.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::time::Duration;

use roadstead_cli::checks::Check;
use roadstead_crypto::{ExposeSecret as _, KeyRing};
use roadstead_model::{Clock as _, PortRange, SystemClock};
use roadstead_store::{PgConnectOptions, Store};
use sqlx::Connection as _;

use super::{PATIENCE, Place, pool};
use crate::config::Config;
use crate::database::private_cluster;

/// The oldest PostgreSQL that the statements are written for.
const OLDEST_SERVER: u32 = 14;
/// A clock that is further off is measured, and said.
const SMALL_OFFSET: time::Duration = time::Duration::seconds(1);
/// Between two looks at leftovers.
const SECOND_LOOK: Duration = Duration::from_millis(500);
/// More leftovers than these are only counted.
const NAMED_LEFTOVERS: usize = 5;

pub(super) fn checks(config: &Config, place: &Place) -> Vec<Check> {
    vec![service(place), data_folder(place), master_key(config, place), run_folder(place), leftovers()]
}

fn service(place: &Place) -> Check {
    match place.service {
        Some(pid) => Check::ok("service", format!("runs as process {pid}")),
        None => Check::ok("service", "does not run"),
    }
}

fn data_folder(place: &Place) -> Check {
    const ID: &str = "data-folder";
    let path = place.path.display();
    let Some(folder) = &place.folder else {
        let above = place.nearest();
        if nix::unistd::access(above, nix::unistd::AccessFlags::W_OK).is_ok() {
            return Check::ok(ID, format!("{path} does not exist yet; the first start makes it"));
        }
        return Check::broken(
            ID,
            format!("{path} does not exist, and {} cannot be written", above.display()),
            "the service cannot start",
            "name another folder with --data-dir, or run as another user",
        );
    };
    let owner = std::fs::metadata(folder.path()).map(|about| about.uid());
    let own = nix::unistd::geteuid().as_raw();
    if nix::unistd::access(folder.path(), nix::unistd::AccessFlags::W_OK).is_err() {
        let of = owner.map_or_else(|_| "another user".to_owned(), |uid| format!("user {uid}"));
        return Check::broken(
            ID,
            format!("{path} belongs to {of} and cannot be written by user {own}"),
            "a service of this user cannot start here; what follows could not all be looked at",
            "run as the user of the service, or name another folder with --data-dir",
        );
    }
    Check::ok(ID, path.to_string())
}

fn master_key(config: &Config, place: &Place) -> Check {
    const ID: &str = "master-key";
    const LOST: &str = "credentials cannot be opened, and the service does not start";
    if let Some(text) = &config.master_key {
        return match KeyRing::parse(text.expose_secret()) {
            Ok(_) => Check::ok(ID, "from ROADSTEAD_MASTER_KEY"),
            Err(_) => Check::broken(
                ID,
                "ROADSTEAD_MASTER_KEY is no key",
                LOST,
                "set it to the 64 hexadecimal digits that it was, from your backup",
            ),
        };
    }
    let Some(folder) = &place.folder else { return Check::ok(ID, "the first start makes it") };
    match crate::key_file::look(folder.path()) {
        Ok(true) => Check::ok(ID, "in the data folder, readable by its owner alone"),
        Ok(false) if place.installation.is_none() => Check::ok(ID, "the first start makes it"),
        Ok(false) => Check::broken(ID, "there is none", LOST, "put back master.key from your backup"),
        Err(error) => {
            Check::broken(ID, chain(&error), LOST, "do what the message says, as the user of the service")
        }
    }
}

fn run_folder(place: &Place) -> Check {
    const ID: &str = "run-folder";
    let Some(root) = &place.run_root else { return Check::ok(ID, "the first start makes it") };
    let Ok(about) = std::fs::metadata(root) else {
        return Check::ok(ID, format!("{} does not exist; a start makes it", root.display()));
    };
    let others = about.permissions().mode() & 0o066;
    if others != 0 {
        return Check::broken(
            ID,
            format!(
                "{} can be read or written by others (mode {:o})",
                root.display(),
                about.permissions().mode() & 0o777
            ),
            "others see which instances there are, or put sockets of their own in their place",
            format!("run `chmod go-rw {}`", root.display()),
        );
    }
    if about.uid() != nix::unistd::geteuid().as_raw() {
        return Check::warning(
            ID,
            format!("{} belongs to user {}", root.display(), about.uid()),
            "instances could not be looked at",
            "run as the user of the service",
        );
    }
    Check::ok(ID, root.display().to_string())
}

fn leftovers() -> Check {
    const ID: &str = "leftovers";
    let mut left = roadstead_supervisor::left_over();
    if !left.is_empty() {
        // What is ending at this moment is gone at the second look.
        std::thread::sleep(SECOND_LOOK);
        let again = roadstead_supervisor::left_over();
        left.retain(|each| again.contains(each));
    }
    if left.is_empty() {
        return Check::ok(ID, "no process of an instance is without a shim");
    }
    let named = left.iter().take(NAMED_LEFTOVERS).map(|each| format!("{} ({})", each.pid, each.name));
    let named = named.collect::<Vec<_>>().join(", ");
    Check::broken(
        ID,
        format!("{} without a shim: {named}", left.len()),
        "they use memory and may still act with credentials of people",
        "`roadstead down --instances` and a start end what is theirs; look at the rest with `ps -fp` and kill it",
    )
}

/// The checks of the database, and the pool that its settings name.
pub(super) async fn database(config: &Config, place: &Place) -> (Vec<Check>, PortRange) {
    const ID: &str = "database";
    const LOST: &str = "nothing can be launched, and nothing new is kept";
    let options = match options(config, place) {
        Ok(Some(options)) => options,
        Ok(None) => {
            let found = if place.installation.is_some() {
                "stopped; a start begins it"
            } else {
                "the first start makes it"
            };
            return (vec![Check::ok(ID, format!("private: {found}"))], pool(None));
        }
        Err(error) => {
            let next = "see {data}/postgres/log, and run as the user of the service";
            return (vec![Check::broken(ID, format!("{error:#}"), LOST, next)], pool(None));
        }
    };
    match tokio::time::timeout(PATIENCE, ask(options)).await {
        Ok(Ok(found)) => found,
        // The driver may repeat the URL, and with it the password.
        Ok(Err(error)) => {
            let found = format!("does not answer: {}", error.root_cause());
            let next = "start PostgreSQL, or correct DATABASE_URL";
            (vec![Check::broken(ID, found, LOST, next)], pool(None))
        }
        Err(_) => {
            let next = "see whether PostgreSQL is overloaded, or the way to it blocked";
            (vec![Check::broken(ID, "did not answer within 10 seconds", LOST, next)], pool(None))
        }
    }
}

fn options(config: &Config, place: &Place) -> anyhow::Result<Option<PgConnectOptions>> {
    if let Some(urls) = &config.database {
        let parsed = urls.service.expose_secret().parse::<PgConnectOptions>();
        return parsed.map(Some).map_err(|_| anyhow::anyhow!("DATABASE_URL is not a PostgreSQL URL"));
    }
    let (Some(folder), Some(installation)) = (&place.folder, place.installation) else { return Ok(None) };
    let cluster = private_cluster(config, folder.path(), installation);
    Ok(cluster.app_of_running()?)
}

async fn ask(options: PgConnectOptions) -> anyhow::Result<(Vec<Check>, PortRange)> {
    let connection = sqlx::PgConnection::connect_with(&options).await?;
    let version = connection.server_version_num().unwrap_or_default();
    let _ = connection.close().await;
    let store = Store::connect(options, 1).await?;
    let clock = SystemClock::new();
    let offset = store.clock_offset(|| clock.now()).await?;
    let rows = store.settings().all().await;
    store.close().await;
    let major = version / 10_000;
    let version = if major < OLDEST_SERVER {
        Check::broken(
            "database",
            format!("PostgreSQL {major} is too old"),
            "statements are refused",
            format!("use PostgreSQL {OLDEST_SERVER} or later"),
        )
    } else {
        Check::ok("database", format!("PostgreSQL {major}.{} answers", version % 10_000))
    };
    let found = format!("the database's clock is {} ms ahead", offset.whole_milliseconds());
    let clock = if offset.abs() > SMALL_OFFSET {
        Check::warning(
            "clock",
            found,
            "deadlines follow the database's clock; times in logs of the two machines do not match",
            "keep both machines' clocks by NTP",
        )
    } else {
        Check::ok("clock", found)
    };
    let settings = rows.ok().and_then(|rows| roadstead_accounts::Settings::read(&rows).ok());
    Ok((vec![version, clock], pool(settings.as_ref())))
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}
