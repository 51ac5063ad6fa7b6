//! `roadstead db restore`: what a backup holds comes back.
//!
//! ```text
//! every byte looked at ─► what is there set aside ─► pg_restore (all or nothing) ─► counts compared ─► rights, migrations
//!        │                        │                         └──────── failed: what was set aside comes back ────────┘
//!        └ refused: nothing       └─► thrown away at the end ─► keys ─► instances that ran elsewhere are lost
//! ```
//! The installation of the data folder stays its own unless it is told to be the one that the backup was made of: two that both
//! call themselves the same would take each other's instances for their own.

mod moment;
mod table;

use anyhow::{Context, bail};
use roadstead_cli::Exit;
use roadstead_cli::sheet::{Paper, moment};
use roadstead_crypto::{ExposeSecret, KeyRing};
use roadstead_model::{Clock, InstallationId, SystemClock};
use roadstead_store::migrate;
use roadstead_store::restore::Restoring;
use serde_json::json;

use super::archive::{Chain, Manifest, Whole};
use super::command::RestoreArgs;
use super::{Place, Refused, ask, backup};
use crate::config::Config;
use crate::data_folder::{DataFolder, known_installation, write_private};
use crate::key_file;

/// `roadstead db restore`.
pub(super) async fn restore(config: &Config, paper: &Paper, args: &RestoreArgs) -> anyhow::Result<Exit> {
    if let Some(at) = args.at {
        return Box::pin(moment::restore(config, paper, args, at)).await;
    }
    let file = args.file.as_deref().context("there is neither a file nor a moment to restore")?;
    if !file.is_file() {
        let message = format!("there is no backup at {}", file.display());
        return Err(Refused::new(Exit::NotFound, message).into());
    }
    let folder = DataFolder::open(&DataFolder::choose(config.data_dir.as_deref())?)?;
    let whole = backup::read(file, folder.path()).await?;
    if whole.manifest.migration > migrate::newest() {
        bail!(
            "the backup has migration {}, and this version of roadstead knows {} at most; use the version that wrote it ({})",
            whole.manifest.migration,
            migrate::newest(),
            whole.manifest.roadstead
        );
    }
    if args.same_installation {
        let _lock = known_installation(folder.path()).is_none().then(|| folder.lock()).transpose()?;
        take_over(&folder, &whole.manifest.installation)?;
    }
    let place = Place::open(config, true).await?;
    let done = match &args.table {
        Some(table) => Box::pin(table::restore(&place, paper, &whole, table, args.yes)).await,
        None => Box::pin(everything(&place, config, paper, args, &whole)).await,
    };
    // What went wrong first is the one to know.
    let left = place.leave().await;
    let exit = done?;
    left.map(|()| exit)
}

/// Makes the data folder that of the installation that the backup was made of. Only for who holds it.
fn take_over(folder: &DataFolder, installation: &str) -> anyhow::Result<()> {
    let wanted: InstallationId = installation.parse().context("the backup names no installation")?;
    match known_installation(folder.path()) {
        Some(known) if known == wanted => Ok(()),
        Some(known) => bail!(
            "the data folder {} is that of installation {known} already; restore into an empty one to go on as {wanted}",
            folder.path().display()
        ),
        None => write_private(&folder.path().join("installation"), format!("{wanted}\n").as_bytes())
            .context("could not write the installation's id"),
    }
}

async fn everything(
    place: &Place,
    config: &Config,
    paper: &Paper,
    args: &RestoreArgs,
    whole: &Whole,
) -> anyhow::Result<Exit> {
    place.unused()?;
    let mut into = Restoring::open(place.owner()).await?;
    if into.was_set_aside().await? {
        into.bring_back().await?;
        paper.note("An earlier restore was broken off; what it had set aside was brought back first.");
    }
    let empty = into.is_empty().await?;
    if !empty && !args.replace {
        let message = "the database holds tables already; `--replace` puts the backup in their place";
        return Err(Refused::new(Exit::Failed, message).into());
    }
    if !empty {
        let question = format!(
            "Put the backup of {} in the place of everything that the database holds?",
            moment(whole.manifest.at)
        );
        ask(args.yes, &question, "nothing was changed")?;
        into.set_aside()
            .await
            .context("what is there could not be set aside; this role must own the schema")?;
    }
    let filled = tokio::select! {
        filled = fill(place, &mut into, whole) => filled,
        _ = tokio::signal::ctrl_c() => Err(anyhow::anyhow!("broken off")),
    };
    if let Err(error) = filled {
        if !empty {
            into.bring_back().await.context("what was set aside is in the schema roadstead_set_aside")?;
        }
        return Err(error.context("nothing was restored; the database holds what it held before"));
    }
    if !empty {
        into.forget_aside().await?;
    }
    let lost = into.lose_instances(place.installation, SystemClock::new().now()).await?;
    let needed = into.key_ids().await?;
    into.close().await?;
    let missing = keys(place, config, paper, whole, &needed)?;
    tell(paper, &whole.manifest, lost, &missing)?;
    if missing.is_empty() {
        return Ok(Exit::Ok);
    }
    let message = format!(
        "the master key of this data folder does not open everything that was restored: key {} is missing; put back the \
         file master.key that belongs to the backup, or set ROADSTEAD_MASTER_KEY, before the service starts",
        missing.join(", ")
    );
    Err(Refused::new(Exit::Config, message).into())
}

fn tell(paper: &Paper, manifest: &Manifest, lost: u64, missing: &[String]) -> anyhow::Result<()> {
    let rows: u64 = manifest.tables.values().sum();
    let answer = json!({ "restored": { "at": manifest.at.unix_timestamp(), "rows": rows, "tables": manifest.tables },
        "instances_lost": lost, "missing_keys": missing });
    paper.answer(&answer, |paper| {
        let tables = manifest.tables.len();
        paper.line(&format!("Restored {rows} rows in {tables} tables, as of {}.", moment(manifest.at)))?;
        if lost > 0 {
            paper.line(&format!(
                "{lost} instances ran where the backup was made; they are shown as disconnected."
            ))?;
        }
        paper.line("Next: roadstead up")
    })?;
    Ok(())
}

async fn fill(place: &Place, into: &mut Restoring, whole: &Whole) -> anyhow::Result<()> {
    let tools = place.tools(into.server_major()).await?;
    let database = place.owner().get_database().context("the owner's URL names no database")?;
    tools.restore(database, whole.dump()?).await?;
    compare(into, &whole.manifest).await?;
    into.close_functions(&whole.manifest.closed_functions).await?;
    // Rights are given by the migrations' own function, to the roles that are here.
    migrate::up(place.owner(), None).await.context("what was restored could not be brought up to date")?;
    Ok(())
}

/// Whether a database holds what the manifest tells of.
pub(super) async fn compare(inside: &mut Restoring, manifest: &Manifest) -> anyhow::Result<()> {
    let counts = inside.counts().await?;
    let different: Vec<String> = manifest
        .tables
        .iter()
        .filter(|(table, rows)| counts.get(*table) != Some(rows))
        .map(|(table, rows)| format!("{table}: {rows} rows, and {:?} came", counts.get(table).unwrap_or(&0)))
        .collect();
    anyhow::ensure!(different.is_empty(), "rows are missing: {}", different.join("; "));
    let chains: Vec<Chain> = inside
        .chain_heads()
        .await?
        .into_iter()
        .map(|head| Chain {
            organization: head.organization.to_string(),
            number: head.number,
            hash: hex::encode(head.hash),
        })
        .collect();
    anyhow::ensure!(chains == manifest.chains, "the audit chains end elsewhere than in the backup");
    Ok(())
}

/// Puts the backup's keys into the data folder where they are needed; answers with those that are still missing.
fn keys(
    place: &Place,
    config: &Config,
    paper: &Paper,
    whole: &Whole,
    needed: &[u32],
) -> anyhow::Result<Vec<String>> {
    let lacks = |ring: Option<&KeyRing>| -> Vec<String> {
        let held: Vec<String> =
            ring.into_iter().flat_map(KeyRing::key_ids).map(|id| id.to_string()).collect();
        needed.iter().map(|key| format!("{key:08x}")).filter(|key| !held.contains(key)).collect()
    };
    let folder = place.folder.path();
    let known = key_file::known(folder, config.master_key.as_ref())?;
    let missing = lacks(known.as_ref());
    let (false, None, Some(text)) = (missing.is_empty(), &config.master_key, &whole.keys) else {
        return Ok(missing);
    };
    let ring = KeyRing::parse(text.expose_secret()).context("the backup's key is none")?;
    if let Some(kept) = key_file::put(folder, &ring)? {
        paper.note(&format!("The master key that was there was kept as {}.", kept.display()));
    }
    Ok(lacks(Some(&ring)))
}
