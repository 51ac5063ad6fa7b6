//! The file that a backup is: a tar with `manifest.json`, its SHA-256, `database.dump` and, only when asked for, `master.key`; as
//! a whole compressed with gzip or not. The manifest has the length and the SHA-256 of each other member: a file that is cut
//! short, or has one other byte in it, is refused before anything is done with it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use roadstead_crypto::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use time::OffsetDateTime;

/// The present form of the file.
pub(super) const FORMAT: u32 = 1;
/// The members' names.
const MANIFEST: &str = "manifest.json";
const MANIFEST_HASH: &str = "manifest.sha256";
const DUMP: &str = "database.dump";
const KEYS: &str = "master.key";
/// What a file that is compressed begins with.
const GZIP: [u8; 2] = [0x1f, 0x8b];
/// More than any manifest has: one line a table.
const MAX_MANIFEST_BYTES: u64 = 16 << 20;
/// More than any key ring has.
const MAX_KEYS_BYTES: u64 = 64 << 10;
/// What is read at one time.
const CHUNK: usize = 128 << 10;

/// What a backup says of itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Manifest {
    /// The form of the file.
    pub(super) format: u32,
    /// The moment that it shows.
    #[serde(with = "time::serde::rfc3339")]
    pub(super) at: OffsetDateTime,
    /// Who wrote it.
    pub(super) roadstead: String,
    /// The installation that it is of.
    pub(super) installation: String,
    /// The newest migration.
    pub(super) migration: i64,
    /// The major version of the server.
    pub(super) postgres: u32,
    /// The major version of the program that wrote the dump.
    pub(super) pg_dump: u32,
    /// The rows of each table.
    pub(super) tables: BTreeMap<String, u64>,
    /// The keys without which sealed values cannot be opened.
    pub(super) keys: Vec<String>,
    /// The end of each audit chain.
    pub(super) chains: Vec<Chain>,
    /// Functions that not everybody may call.
    pub(super) closed_functions: Vec<String>,
    /// What else is in the file.
    pub(super) members: BTreeMap<String, Member>,
}

/// The end of an audit chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Chain {
    pub(super) organization: String,
    pub(super) number: i64,
    pub(super) hash: String,
}

/// A file in the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Member {
    pub(super) bytes: u64,
    pub(super) sha256: String,
}

/// A backup whose every byte was looked at.
#[derive(Debug)]
pub(super) struct Whole {
    pub(super) manifest: Manifest,
    /// The database, in a file without a name.
    dump: File,
    /// The key ring, if it is in it.
    pub(super) keys: Option<SecretString>,
}

/// Why a file is no backup that can be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum ArchiveError {
    #[error("{} could not be read", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{} is not a backup of roadstead", path.display())]
    Foreign { path: PathBuf },
    #[error("{} was written by a newer roadstead (form {format}); use that version", path.display())]
    Newer { path: PathBuf, format: u32 },
    #[error("{} is damaged: {why}; nothing was changed", path.display())]
    Damaged { path: PathBuf, why: String },
}

impl Manifest {
    /// Takes note of what will be in the file.
    pub(super) fn describe(&mut self, dump: &mut File, keys: Option<&SecretString>) -> io::Result<()> {
        dump.seek(SeekFrom::Start(0))?;
        self.members.insert(DUMP.to_owned(), Member::of(&mut *dump)?);
        dump.seek(SeekFrom::Start(0))?;
        if let Some(keys) = keys {
            self.members.insert(KEYS.to_owned(), Member::of(keys.expose_secret().as_bytes())?);
        }
        Ok(())
    }
}

impl Member {
    fn of(mut content: impl Read) -> io::Result<Self> {
        copy_hashed(&mut content, &mut io::sink())
    }
}

fn copy_hashed(from: &mut impl Read, to: &mut impl Write) -> io::Result<Member> {
    let (mut hash, mut bytes, mut chunk) = (Sha256::new(), 0, vec![0_u8; CHUNK]);
    loop {
        let read = from.read(&mut chunk)?;
        if read == 0 {
            return Ok(Member { bytes, sha256: hex::encode(hash.finalize()) });
        }
        hash.update(&chunk[..read]);
        to.write_all(&chunk[..read])?;
        bytes += read as u64;
    }
}

/// Writes all members to a file that is new, and waits until they are on the disk.
pub(super) fn write(
    into: &File,
    gzip: bool,
    manifest: &Manifest,
    dump: &mut File,
    keys: Option<&SecretString>,
) -> io::Result<()> {
    let out = BufWriter::with_capacity(CHUNK, into);
    if gzip {
        let out = GzEncoder::new(out, Compression::default());
        members(out, manifest, dump, keys)?.finish()?.flush()?;
    } else {
        members(out, manifest, dump, keys)?.flush()?;
    }
    into.sync_all()
}

fn members<W: Write>(
    out: W,
    manifest: &Manifest,
    dump: &mut File,
    keys: Option<&SecretString>,
) -> io::Result<W> {
    let mut tar = tar::Builder::new(out);
    let at = manifest.at.unix_timestamp().unsigned_abs();
    let text = serde_json::to_vec_pretty(manifest)?;
    append(&mut tar, (MANIFEST, text.len() as u64, at), &text[..])?;
    let hash = hex::encode(Sha256::digest(&text));
    append(&mut tar, (MANIFEST_HASH, hash.len() as u64, at), hash.as_bytes())?;
    append(&mut tar, (DUMP, manifest.members[DUMP].bytes, at), dump)?;
    if let Some(keys) = keys {
        let text = keys.expose_secret().as_bytes();
        append(&mut tar, (KEYS, text.len() as u64, at), text)?;
    }
    tar.into_inner()
}

fn append<W: Write>(
    tar: &mut tar::Builder<W>,
    (name, bytes, at): (&str, u64, u64),
    content: impl Read,
) -> io::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_size(bytes);
    header.set_mode(0o600);
    header.set_mtime(at);
    tar.append_data(&mut header, name, content)
}

/// Whether a file begins as a backup does: it is another one of ours, which may be written over.
pub(super) fn is_backup(path: &Path) -> bool {
    File::open(path).is_ok_and(|file| read_manifest(path, file).is_ok())
}

fn read_manifest(path: &Path, file: File) -> Result<Manifest, ArchiveError> {
    let read = |source| ArchiveError::Read { path: path.to_owned(), source };
    let mut tar = tar::Archive::new(plain(file).map_err(read)?);
    let first = tar.entries().map_err(read)?.next();
    let foreign = || ArchiveError::Foreign { path: path.to_owned() };
    let entry = first.and_then(Result::ok).ok_or_else(foreign)?;
    manifest_of(path, entry).map(|(manifest, _)| manifest)
}

/// The manifest, and its SHA-256.
fn manifest_of<R: Read>(path: &Path, entry: tar::Entry<'_, R>) -> Result<(Manifest, String), ArchiveError> {
    let foreign = || ArchiveError::Foreign { path: path.to_owned() };
    if entry.path().ok().as_deref() != Some(Path::new(MANIFEST)) {
        return Err(foreign());
    }
    let mut text = Vec::new();
    entry.take(MAX_MANIFEST_BYTES).read_to_end(&mut text).map_err(|_| foreign())?;
    let value: serde_json::Value = serde_json::from_slice(&text).map_err(|_| foreign())?;
    let format = value["format"].as_u64().and_then(|format| u32::try_from(format).ok());
    match format {
        Some(FORMAT) => {
            let manifest = serde_json::from_value(value).map_err(|_| foreign())?;
            Ok((manifest, hex::encode(Sha256::digest(&text))))
        }
        Some(format) if format > FORMAT => Err(ArchiveError::Newer { path: path.to_owned(), format }),
        _ => Err(foreign()),
    }
}

/// The tar, whether the file is compressed or not.
fn plain(mut file: File) -> io::Result<Box<dyn Read>> {
    let mut start = [0_u8; 2];
    let compressed = file.read_exact(&mut start).is_ok() && start == GZIP;
    file.seek(SeekFrom::Start(0))?;
    let buffered = BufReader::with_capacity(CHUNK, file);
    Ok(if compressed { Box::new(GzDecoder::new(buffered)) } else { Box::new(buffered) })
}

/// Looks at every byte, and takes the database out into a file without a name in `room`.
pub(super) fn read(path: &Path, room: &Path) -> Result<Whole, ArchiveError> {
    let failed = |source| ArchiveError::Read { path: path.to_owned(), source };
    let damaged = |why: String| ArchiveError::Damaged { path: path.to_owned(), why };
    let broken = |error: io::Error| damaged(error.to_string());
    let file = File::open(path).map_err(failed)?;
    let mut tar = tar::Archive::new(plain(file).map_err(failed)?);
    let mut entries = tar.entries().map_err(failed)?;
    let first = entries.next().and_then(Result::ok);
    let first = first.ok_or_else(|| ArchiveError::Foreign { path: path.to_owned() })?;
    let (manifest, own_hash) = manifest_of(path, first)?;
    let mut dump = tempfile::tempfile_in(room).map_err(failed)?;
    let (mut keys, mut written_hash, mut found) = (None, String::new(), BTreeMap::new());
    for entry in entries {
        let mut entry = entry.map_err(broken)?;
        let name = entry.path().map_err(broken)?.to_string_lossy().into_owned();
        match name.as_str() {
            MANIFEST_HASH => {
                entry.take(MAX_KEYS_BYTES).read_to_string(&mut written_hash).map_err(broken)?;
            }
            DUMP => {
                found.insert(name, copy_hashed(&mut entry, &mut dump).map_err(broken)?);
            }
            KEYS => {
                let mut text = Vec::new();
                found.insert(name, copy_hashed(&mut entry.take(MAX_KEYS_BYTES), &mut text).map_err(broken)?);
                let text = String::from_utf8(text).map_err(|_| damaged("its key is no text".to_owned()))?;
                keys = Some(SecretString::from(text));
            }
            _ => return Err(damaged(format!("nothing is known of {name} in it"))),
        }
    }
    if written_hash != own_hash {
        return Err(damaged(format!("{MANIFEST} is not what was written")));
    }
    complete(&manifest, &found).map_err(damaged)?;
    Ok(Whole { manifest, dump, keys })
}

/// Whether everything is there that the manifest tells of, and as it tells.
fn complete(manifest: &Manifest, found: &BTreeMap<String, Member>) -> Result<(), String> {
    for (name, member) in &manifest.members {
        match found.get(name) {
            None => return Err(format!("{name} is missing")),
            Some(there) if there != member => return Err(format!("{name} is not what was written")),
            Some(_) => {}
        }
    }
    if found.contains_key(DUMP) && found.len() == manifest.members.len() {
        Ok(())
    } else {
        Err("its list of contents is wrong".to_owned())
    }
}

impl Whole {
    /// The database from its beginning, for one program to read. One at a time: they share the place where they read.
    pub(super) fn dump(&self) -> io::Result<File> {
        let mut file = self.dump.try_clone()?;
        file.seek(SeekFrom::Start(0))?;
        Ok(file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> Manifest {
        Manifest {
            format: FORMAT,
            at: OffsetDateTime::UNIX_EPOCH,
            roadstead: "0.1.0".to_owned(),
            installation: "of a test".to_owned(),
            migration: 16,
            postgres: 15,
            pg_dump: 15,
            tables: [("users".to_owned(), 3)].into(),
            keys: vec!["0badcafe".to_owned()],
            chains: Vec::new(),
            closed_functions: Vec::new(),
            members: BTreeMap::new(),
        }
    }

    fn written(folder: &Path, gzip: bool) -> PathBuf {
        let mut dump = tempfile::tempfile_in(folder).unwrap();
        dump.write_all(&vec![7; 300_000]).unwrap();
        let keys = SecretString::from("a key");
        let mut manifest = manifest();
        manifest.describe(&mut dump, Some(&keys)).unwrap();
        let path = folder.join("backup");
        write(&File::create(&path).unwrap(), gzip, &manifest, &mut dump, Some(&keys)).unwrap();
        path
    }

    #[test]
    fn what_is_written_is_read_again_compressed_or_not() {
        for gzip in [false, true] {
            let folder = tempfile::tempdir().unwrap();
            let path = written(folder.path(), gzip);
            assert!(is_backup(&path));
            let whole = read(&path, folder.path()).unwrap();
            assert_eq!(whole.manifest.tables["users"], 3);
            assert_eq!(whole.keys.as_ref().unwrap().expose_secret(), "a key");
            for _ in 0..2 {
                let mut text = Vec::new();
                whole.dump().unwrap().read_to_end(&mut text).unwrap();
                assert_eq!(text.len(), 300_000);
            }
        }
    }

    #[test]
    fn a_file_that_was_cut_short_is_refused_wherever_it_ends() {
        for gzip in [false, true] {
            let folder = tempfile::tempdir().unwrap();
            let path = written(folder.path(), gzip);
            let whole = std::fs::read(&path).unwrap();
            // The end of a tar is empty blocks: what is lost of those is nobody's loss.
            let needed = if gzip { whole.len() } else { whole.len() - 2 * 512 };
            for part in 0..24 {
                std::fs::write(&path, &whole[..needed * part / 24]).unwrap();
                assert!(read(&path, folder.path()).is_err(), "{part} of 24, {gzip}");
            }
        }
    }

    #[test]
    fn one_other_byte_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let path = written(folder.path(), false);
        let mut whole = std::fs::read(&path).unwrap();
        let in_count = whole.windows(10).position(|part| part == b"\"users\": 3").unwrap() + 9;
        for (place, name) in [(in_count, "manifest.json"), (whole.len() / 2, "database.dump")] {
            whole[place] ^= 1;
            std::fs::write(&path, &whole).unwrap();
            let error = read(&path, folder.path()).unwrap_err().to_string();
            assert!(error.contains(&format!("{name} is not what was written")), "{error}");
            whole[place] ^= 1;
        }
    }

    #[test]
    fn another_file_is_no_backup() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("other");
        std::fs::write(&path, "#!/bin/sh\necho hello\n").unwrap();
        assert!(!is_backup(&path));
        assert!(matches!(read(&path, folder.path()), Err(ArchiveError::Foreign { .. })));
    }
}
