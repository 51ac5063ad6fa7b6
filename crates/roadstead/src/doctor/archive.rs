//! The archive of the write-ahead log: whether it is on, whether it takes files, and what one can go back to.

use roadstead_cli::checks::Check;

use super::{PATIENCE, Place};
use crate::config::Config;
use crate::database::private_cluster;

const ID: &str = "archive";
const LOST: &str =
    "the disk fills with what waits, and nothing written since can be gone back to on another machine";

/// Nothing where the database is somebody else's.
pub(super) async fn check(config: &Config, place: &Place) -> Option<Check> {
    let (Some(folder), Some(installation), None) = (&place.folder, place.installation, &config.database)
    else {
        return None;
    };
    let cluster = private_cluster(config, folder.path(), installation);
    let archive = match cluster.archive() {
        Ok(Some(archive)) => archive,
        Ok(None) => {
            return Some(Check::ok(ID, "off; one can go back to the moments of backups alone"));
        }
        Err(error) => {
            let next = "start the service with ROADSTEAD_ARCHIVE set, or set to `off`";
            return Some(Check::broken(ID, error.to_string(), LOST, next));
        }
    };
    let server = cluster.app_of_running().ok().flatten();
    let problem = match &server {
        Some(server) => tokio::time::timeout(PATIENCE, crate::archive::problem(&archive, server)).await,
        None => Ok(archive.problem()),
    };
    let next = "mount the folder, or make room in it; what waits is archived by itself then";
    Some(match problem.ok().flatten() {
        Some(problem) => Check::broken(ID, problem, LOST, next),
        None => match crate::db::newest_base(&archive) {
            Ok(Some(base)) => Check::ok(ID, format!("{}; newest base {base}", archive.folder.display())),
            Ok(None) => Check::warning(
                ID,
                format!("{} has no base backup", archive.folder.display()),
                "the archived log alone is of no use",
                "run `roadstead db backup --base`",
            ),
            Err(error) => {
                Check::warning(ID, format!("{error:#}"), LOST, "run doctor as the user of the service")
            }
        },
    })
}
