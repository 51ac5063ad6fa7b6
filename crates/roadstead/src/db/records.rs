//! What an archive says of itself: its bases, the restores that began new histories, and which files of the log lead to a moment.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use flate2::read::GzDecoder;
use roadstead_cli::Exit;
use roadstead_cli::sheet::{Paper, moment};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use time::OffsetDateTime;

use super::Refused;
use crate::data_folder::{sync_parent, write_private};
use crate::postgres::{Archive, BASES, Lsn, SEGMENT_BYTES, Timelines, Tools, WAL, segment_of};

/// The present form of the records.
pub(super) const FORMAT: u32 = 1;
/// What the names of records begin with.
const BASE: &str = "base-";
const TIMELINE: &str = "timeline-";

/// A base backup that is whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Base {
    pub(super) format: u32,
    /// Its folder's name.
    pub(super) name: String,
    #[serde(with = "time::serde::rfc3339")]
    pub(super) began: OffsetDateTime,
    /// From this moment on one can go back to any.
    #[serde(with = "time::serde::rfc3339")]
    pub(super) ended: OffsetDateTime,
    pub(super) roadstead: String,
    pub(super) installation: String,
    pub(super) migration: i64,
    /// The major version of the server.
    pub(super) postgres: u32,
    /// The history that it is of.
    pub(super) timeline: u32,
    /// The part of the log that it cannot do without.
    pub(super) from: String,
    pub(super) until: String,
    pub(super) bytes: u64,
    /// The keys without which sealed values cannot be opened.
    pub(super) keys: Vec<String>,
    /// Of the manifest, which has the SHA-256 of everything else.
    pub(super) manifest_sha256: String,
}

/// A restore: from its moment on, another history is what happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Restored {
    pub(super) timeline: u32,
    #[serde(with = "time::serde::rfc3339")]
    pub(super) began: OffsetDateTime,
    /// The moment that was gone back to.
    #[serde(with = "time::serde::rfc3339")]
    pub(super) to: OffsetDateTime,
}

/// All of it.
#[derive(Debug)]
pub(super) struct Records {
    pub(super) archive: Archive,
    /// The oldest first.
    pub(super) bases: Vec<Base>,
    restored: Vec<Restored>,
}

/// What leads to a moment.
#[derive(Debug)]
pub(super) struct Way {
    pub(super) base: Base,
    pub(super) timelines: Timelines,
    pub(super) at: OffsetDateTime,
}

impl Base {
    fn place(text: &str) -> anyhow::Result<Lsn> {
        text.parse().map_err(|()| anyhow::anyhow!("{text} is no place in the log"))
    }

    pub(super) fn folder(&self, archive: &Archive) -> PathBuf {
        archive.bases().join(&self.name)
    }
}

impl Records {
    /// Reads what is there.
    pub(super) fn read(archive: Archive) -> anyhow::Result<Self> {
        let mut bases: Vec<Base> = all(&archive.folder, BASE)?;
        let mut restored: Vec<Restored> = all(&archive.folder, TIMELINE)?;
        // A name is part of a path that is removed one day.
        let is_name = |base: &Base| base.name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.');
        anyhow::ensure!(bases.iter().all(is_name), "{} has a base without a name", archive.folder.display());
        bases.sort_by_key(|base| base.ended);
        restored.sort_by_key(|one| one.began);
        Ok(Self { archive, bases, restored })
    }

    /// The folder of an archive that was named: of one installation, or with those of several.
    pub(super) fn find(named: &Path) -> anyhow::Result<PathBuf> {
        let is_one = |folder: &Path| folder.join(WAL).is_dir() && folder.join(BASES).is_dir();
        let none = |text: String| anyhow::Error::from(Refused::new(Exit::NotFound, text));
        if is_one(named) {
            return Ok(named.to_owned());
        }
        let entries =
            named.read_dir().map_err(|error| none(format!("{} cannot be read: {error}", named.display())))?;
        let mut found: Vec<PathBuf> =
            entries.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| is_one(path)).collect();
        match (found.pop(), found.is_empty()) {
            (Some(one), true) => Ok(one),
            (None, _) => Err(none(format!("there is no archive in {}", named.display()))),
            (Some(one), false) => {
                found.push(one);
                found.sort();
                let all: Vec<String> = found.iter().map(|path| path.display().to_string()).collect();
                let message = format!("there are several archives; name one with --from: {}", all.join(", "));
                Err(Refused::new(Exit::Usage, message).into())
            }
        }
    }

    pub(super) fn note_base(&self, base: &Base) -> anyhow::Result<()> {
        self.write(&format!("{BASE}{}.json", base.name), base)
    }

    pub(super) fn note_restored(&self, restored: &Restored) -> anyhow::Result<()> {
        self.write(&format!("{TIMELINE}{:08X}.json", restored.timeline), restored)
    }

    fn write(&self, name: &str, value: &impl Serialize) -> anyhow::Result<()> {
        let path = self.archive.folder.join(name);
        let text = serde_json::to_vec_pretty(value)?;
        write_private(&path, &text).with_context(|| format!("could not write {}", path.display()))
    }

    /// The newest base that ended before the moment and is of the history that was the true one then.
    pub(super) fn way(&self, at: OffsetDateTime) -> anyhow::Result<Way> {
        let none = |text: String| anyhow::Error::from(Refused::new(Exit::NotFound, text));
        let folder = self.archive.folder.display();
        let Some(first) = self.bases.first() else {
            return Err(none(format!("{folder} has no base backup; `roadstead db backup --base` makes one")));
        };
        let newest = self.bases.iter().rev().find(|base| base.ended <= at);
        let Some(newest) = newest else {
            let message = format!(
                "the first base backup in {folder} is of {}: no moment before it can be gone back to; nothing was changed",
                moment(first.ended)
            );
            return Err(none(message));
        };
        let timeline = self.restored.iter().rev().find(|one| one.began <= at).map(|one| one.timeline);
        let timelines = self.timelines(timeline.unwrap_or(newest.timeline))?;
        let fits = |base: &&Base| {
            base.ended <= at
                && Base::place(&base.until).is_ok_and(|until| timelines.holds(base.timeline, until))
        };
        let Some(base) = self.bases.iter().rev().find(fits).cloned() else {
            return Err(none(format!(
                "{folder} has no base backup of history {}, which was the true one at that moment",
                timelines.number()
            )));
        };
        Ok(Way { base, timelines, at })
    }

    fn timelines(&self, timeline: u32) -> anyhow::Result<Timelines> {
        let path = self.archive.wal().join(format!("{timeline:08X}.history.gz"));
        let mut text = String::new();
        match File::open(&path) {
            Ok(file) => GzDecoder::new(file).read_to_string(&mut text).map(drop),
            // The first history of a cluster has no file: it goes on from none.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
        .with_context(|| format!("{} is damaged; nothing was changed", path.display()))?;
        Timelines::parse(timeline, &text).with_context(|| format!("{} is damaged", path.display()))
    }

    /// Removes all but the newest bases, and what nothing but they needed of the log; answers with the removed bases, and how many
    /// files went.
    pub(super) fn forget_older(&mut self, keep: usize) -> anyhow::Result<(Vec<String>, usize)> {
        let old = self.bases.len().saturating_sub(keep);
        let mut removed = Vec::new();
        for base in self.bases.drain(..old) {
            // First what makes it one: half a base must never look like a whole.
            let record = self.archive.folder.join(format!("{BASE}{}.json", base.name));
            std::fs::remove_file(&record)
                .and_then(|()| sync_parent(&record))
                .and_then(|()| std::fs::remove_dir_all(base.folder(&self.archive)))
                .with_context(|| format!("could not remove the base {}", base.name))?;
            removed.push(base.name);
        }
        if removed.is_empty() {
            return Ok((removed, 0));
        }
        let needed = self.bases.iter().map(|base| Ok(Base::place(&base.from)?.segment()));
        let needed = needed.collect::<anyhow::Result<Vec<u64>>>()?.into_iter().min();
        let mut files = 0;
        for entry in self.archive.wal().read_dir()? {
            let path = entry?.path();
            // What is said of a history is small, and is never old.
            if needed.zip(segment_in(&path)).is_some_and(|(needed, (_, segment))| segment < needed) {
                std::fs::remove_file(&path)
                    .with_context(|| format!("could not remove {}", path.display()))?;
                files += 1;
            }
        }
        Ok((removed, files))
    }
}

/// The history and number of the file of the log that a file in the archive is, or is about.
fn segment_in(path: &Path) -> Option<(u32, u64)> {
    segment_of(path.file_name()?.to_str()?.get(..24)?)
}

fn all<T: DeserializeOwned>(folder: &Path, prefix: &str) -> anyhow::Result<Vec<T>> {
    let entries = folder.read_dir().with_context(|| format!("could not read {}", folder.display()))?;
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let ours = paths.filter(|path| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        name.starts_with(prefix) && path.extension().is_some_and(|end| end == "json")
    });
    ours.map(|path| {
        let text = std::fs::read(&path)?;
        serde_json::from_slice(&text).with_context(|| format!("{} is damaged", path.display()))
    })
    .collect()
}

/// The SHA-256 of a base's manifest.
pub(super) fn manifest_sha256(base: &Path) -> anyhow::Result<String> {
    let path = base.join("backup_manifest");
    let text = std::fs::read(&path).with_context(|| format!("could not read {}", path.display()))?;
    Ok(hex::encode(Sha256::digest(text)))
}

impl Way {
    /// Looks at every byte of the base.
    pub(super) async fn check_base(&self, tools: &Tools, archive: &Archive) -> anyhow::Result<()> {
        let folder = self.base.folder(archive);
        let damaged = || format!("the base backup {} is damaged; nothing was changed", folder.display());
        let known = manifest_sha256(&folder).with_context(damaged)?;
        anyhow::ensure!(
            known == self.base.manifest_sha256,
            "{}: its list of contents is not what was written",
            damaged()
        );
        tools.verify(&folder).await.with_context(damaged)
    }

    /// Reads every file of the log from the base on, up to the one with the first change after the moment; answers how many.
    pub(super) async fn check_log(
        &self,
        tools: &Tools,
        archive: &Archive,
        room: &Path,
        paper: &Paper,
    ) -> anyhow::Result<usize> {
        let desk = tools.desk(room)?;
        let wal = archive.wal();
        let first = Base::place(&self.base.from)?.segment();
        let needed = Base::place(&self.base.until)?.last_segment();
        let newest = newest(&wal)?.max(first);
        let mut told = Tenths::new("Reading the archived log");
        let mut last = None;
        let mut segment = first;
        loop {
            let name = self.timelines.name(segment);
            let path = wal.join(format!("{name}.gz"));
            let Some(archived) = modified(&path) else {
                let known = last.map(|at| format!(" (the last change before it is of {})", moment(at)));
                anyhow::bail!(
                    "{} is missing: without it the database cannot be brought to {}{}; nothing was changed",
                    path.display(),
                    moment(self.at),
                    known.unwrap_or_default()
                );
            };
            // What was archived by then has nothing that came after.
            let may_be_last = segment >= needed && archived > self.at;
            let unpacked = may_be_last.then(|| desk.path().join(&name));
            let (from, to) = (path.clone(), unpacked.clone());
            tokio::task::spawn_blocking(move || unpack(&from, to.as_deref()))
                .await?
                .with_context(|| format!("{} is damaged; nothing was changed", path.display()))?;
            if let Some(file) = unpacked {
                let change = tools.last_change(&file).await?;
                std::fs::remove_file(&file)?;
                if change.is_some_and(|change| change > self.at) {
                    return Ok(usize::try_from(segment - first).unwrap_or(usize::MAX).saturating_add(1));
                }
                last = change.or(last);
            }
            told.tell(paper, segment - first, newest - first);
            segment += 1;
        }
    }
}

fn modified(path: &Path) -> Option<OffsetDateTime> {
    path.metadata().ok()?.modified().ok().map(OffsetDateTime::from)
}

fn newest(wal: &Path) -> anyhow::Result<u64> {
    let entries = wal.read_dir().with_context(|| format!("could not read {}", wal.display()))?;
    let numbers: BTreeSet<u64> =
        entries.filter_map(|entry| segment_in(&entry.ok()?.path())).map(|(_, segment)| segment).collect();
    Ok(numbers.last().copied().unwrap_or(0))
}

/// Unpacks a file of the log, which is whole only if it has the length of one.
fn unpack(from: &Path, to: Option<&Path>) -> io::Result<()> {
    let mut packed = GzDecoder::new(io::BufReader::new(File::open(from)?));
    let mut to: Box<dyn Write> = match to {
        None => Box::new(io::sink()),
        Some(path) => {
            use std::os::unix::fs::OpenOptionsExt;
            Box::new(File::options().write(true).create_new(true).mode(0o600).open(path)?)
        }
    };
    let bytes = io::copy(&mut packed, &mut to)?;
    if bytes == SEGMENT_BYTES {
        return Ok(());
    }
    Err(io::Error::other(format!("it has {bytes} bytes instead of {SEGMENT_BYTES}")))
}

/// Tells of long work, a tenth at a time.
#[derive(Debug)]
pub(super) struct Tenths {
    what: &'static str,
    told: u64,
}

impl Tenths {
    pub(super) const fn new(what: &'static str) -> Self {
        Self { what, told: 0 }
    }

    pub(super) fn tell(&mut self, paper: &Paper, done: u64, total: u64) {
        let tenth = (done * 10).checked_div(total).unwrap_or(0).min(10);
        if tenth > self.told {
            self.told = tenth;
            paper.note(&format!("{}: {} %", self.what, tenth * 10));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> OffsetDateTime {
        OffsetDateTime::UNIX_EPOCH + time::Duration::seconds(second)
    }

    fn base(second: i64, timeline: u32, segment: u64) -> Base {
        Base {
            format: FORMAT,
            name: format!("of.{second}"),
            began: at(second - 1),
            ended: at(second),
            roadstead: "0.1.0".to_owned(),
            installation: "of a test".to_owned(),
            migration: 1,
            postgres: 15,
            timeline,
            from: Lsn(segment * SEGMENT_BYTES + 40).to_string(),
            until: Lsn(segment * SEGMENT_BYTES + 80).to_string(),
            bytes: 1,
            keys: Vec::new(),
            manifest_sha256: String::new(),
        }
    }

    fn records(folder: &Path, bases: &[Base]) -> Records {
        let archive = Archive { folder: folder.to_owned(), timeout_s: 60 };
        for folder in [archive.wal(), archive.bases()] {
            std::fs::create_dir_all(folder).unwrap();
        }
        let records = Records::read(archive).unwrap();
        for base in bases {
            std::fs::create_dir(base.folder(&records.archive)).unwrap();
            records.note_base(base).unwrap();
        }
        Records::read(records.archive).unwrap()
    }

    fn packed(path: &Path, text: &str) {
        let mut file =
            flate2::write::GzEncoder::new(File::create(path).unwrap(), flate2::Compression::fast());
        file.write_all(text.as_bytes()).unwrap();
        file.finish().unwrap();
    }

    #[test]
    fn the_newest_base_before_the_moment_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        let records = records(folder.path(), &[base(20, 1, 5), base(10, 1, 2)]);
        for (second, name) in [(10, "of.10"), (19, "of.10"), (20, "of.20"), (99, "of.20")] {
            assert_eq!(records.way(at(second)).unwrap().base.name, name);
        }
        let early = records.way(at(9)).unwrap_err();
        assert_eq!(early.downcast_ref::<Refused>().unwrap().exit, Exit::NotFound);
    }

    #[test]
    fn a_moment_belongs_to_the_history_that_was_the_true_one_then() {
        let folder = tempfile::tempdir().unwrap();
        // At 30 somebody went back to 15; the second base is of what was undone.
        let records = records(folder.path(), &[base(10, 1, 2), base(20, 1, 5), base(40, 2, 9)]);
        packed(&records.archive.wal().join("00000002.history.gz"), "1\t0/4000000\tbefore\n");
        records.note_restored(&Restored { timeline: 2, began: at(30), to: at(15) }).unwrap();
        let records = Records::read(records.archive).unwrap();
        for (second, name, timeline) in [(25, "of.20", 1), (35, "of.10", 2), (45, "of.40", 2)] {
            let way = records.way(at(second)).unwrap();
            assert_eq!((way.base.name.as_str(), way.timelines.number()), (name, timeline), "{second}");
        }
    }

    #[test]
    fn what_only_old_bases_needed_goes_and_histories_stay() {
        let folder = tempfile::tempdir().unwrap();
        let mut records = records(folder.path(), &[base(10, 1, 2), base(20, 1, 5), base(30, 1, 7)]);
        let wal = records.archive.wal();
        let names = [1, 4, 5, 6].map(|segment| format!("{}.gz", crate::postgres::segment_name(1, segment)));
        for name in names.iter().map(String::as_str).chain(["00000002.history.gz"]) {
            packed(&wal.join(name), "");
        }
        assert_eq!(records.forget_older(2).unwrap(), (vec!["of.10".to_owned()], 2));
        let left = |name: &str| wal.join(name).exists();
        assert!(!left(&names[0]) && !left(&names[1]) && left(&names[2]) && left(&names[3]));
        assert!(left("00000002.history.gz") && !records.archive.bases().join("of.10").exists());
        assert_eq!(Records::read(records.archive).unwrap().bases.len(), 2);
    }

    #[test]
    fn a_file_of_the_log_that_was_cut_short_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("segment.gz");
        packed(&path, "short");
        assert!(unpack(&path, None).unwrap_err().to_string().contains("instead of"));
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, &whole[..whole.len() - 4]).unwrap();
        assert!(unpack(&path, None).is_err());
    }
}
