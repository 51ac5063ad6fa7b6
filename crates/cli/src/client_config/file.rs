//! A client's file: read with suspicion, backed up, replaced whole or not at all.
//!
//! The file may be changed by the client while we look at it, and the folder by anybody who may write there. Therefore no link
//! is followed, nothing is opened that would keep us waiting, and what was read is compared with what is there before it is
//! replaced.

use std::fs::{File, Metadata, OpenOptions, Permissions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;
use time::OffsetDateTime;
use time::macros::format_description;

/// The largest file that is read: that of Claude Code holds a history, too.
const MAX_BYTES: u64 = 32 * 1024 * 1024;
/// The permissions of a file with a token, and of a backup, which may hold one.
const PRIVATE: u32 = 0o600;
/// The permissions of a new file without a token, less what the user's mask takes.
const ORDINARY: u32 = 0o666;
/// Backups of one second.
const MAX_BACKUPS: u32 = 100;

/// Why a client's file was left as it is.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// A link: replacing it would leave what it leads to unchanged.
    #[error("{} is a symbolic link; name the file that it leads to with --file", path.display())]
    Link {
        /// The link.
        path: PathBuf,
    },
    /// A folder, a pipe, a device.
    #[error("{} is not a regular file", path.display())]
    NotAFile {
        /// What is none.
        path: PathBuf,
    },
    /// Longer than any configuration.
    #[error("{} holds more than 32 MiB", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// Not UTF-8.
    #[error("{} is not UTF-8 text", path.display())]
    NotText {
        /// The file.
        path: PathBuf,
    },
    /// The client, or somebody, was faster.
    #[error("{} was changed meanwhile; try again", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// The system refused.
    #[error("could not {what} {}", path.display())]
    System {
        /// What was attempted.
        what: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
}

/// A file as it was read.
#[derive(Debug)]
pub struct ClientFile {
    path: PathBuf,
    text: String,
    /// None where there is no file yet.
    about: Option<Metadata>,
}

/// Whether a text holds a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holds {
    /// Its file is for its owner alone.
    Token,
    /// Its file keeps its permissions.
    NoToken,
}

impl ClientFile {
    /// Reads the file; one that is not there is empty.
    pub fn read(path: &Path) -> Result<Self, FileError> {
        let refused = |what| move |source| FileError::System { what, path: path.to_owned(), source };
        let path = path.to_owned();
        match std::fs::symlink_metadata(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Self { path, text: String::new(), about: None });
            }
            Err(error) => return Err(refused("look at")(error)),
            Ok(about) if about.is_symlink() => return Err(FileError::Link { path }),
            Ok(about) if !about.is_file() => return Err(FileError::NotAFile { path }),
            Ok(_) => {}
        }
        let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
        let file = OpenOptions::new().read(true).custom_flags(flags.bits()).open(&path);
        let file = file.map_err(refused("read"))?;
        // The open file is asked, not the path: the path may name another file by now.
        let about = file.metadata().map_err(refused("read"))?;
        if !about.is_file() {
            return Err(FileError::NotAFile { path });
        }
        let mut bytes = Vec::new();
        file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(refused("read"))?;
        if bytes.len() as u64 > MAX_BYTES {
            return Err(FileError::TooLarge { path });
        }
        let text = String::from_utf8(bytes).map_err(|_| FileError::NotText { path: path.clone() })?;
        Ok(Self { path, text, about: Some(about) })
    }

    /// What it held when it was read.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Puts another text in its place, and the old one beside it. Answers where the old one is.
    pub fn replace(
        &self,
        text: &str,
        holds: Holds,
        now: OffsetDateTime,
    ) -> Result<Option<PathBuf>, FileError> {
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or_else(|| Path::new("."));
        std::fs::create_dir_all(folder).map_err(self.refused("make the folder of"))?;
        let fresh = self.fresh(folder, text, holds).map_err(self.refused("write"))?;
        self.is_unchanged()?;
        let backup = self.about.as_ref().map(|_| self.back_up(now)).transpose()?;
        let put = if self.about.is_some() {
            fresh.persist(&self.path).map(drop)
        } else {
            fresh.persist_noclobber(&self.path).map(drop)
        };
        put.map_err(|error| self.refused("replace")(error.error))?;
        // The file is whole either way; this makes sure that it is still there after a loss of power.
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(self.refused("keep"))?;
        Ok(backup)
    }

    fn fresh(&self, folder: &Path, text: &str, holds: Holds) -> std::io::Result<tempfile::NamedTempFile> {
        let known = self.about.as_ref().map(|about| about.mode() & 0o7777);
        let begins = if holds == Holds::Token || known.is_some() { PRIVATE } else { ORDINARY };
        let mut fresh = tempfile::Builder::new()
            .prefix(".roadstead-")
            .permissions(Permissions::from_mode(begins))
            .tempfile_in(folder)?;
        fresh.write_all(text.as_bytes())?;
        if let Some(about) = &self.about {
            let made = fresh.as_file().metadata()?;
            if (made.uid(), made.gid()) != (about.uid(), about.gid()) {
                std::os::unix::fs::fchown(fresh.as_file(), Some(about.uid()), Some(about.gid()))?;
            }
        }
        if let Some(mode) = known {
            let mode = if holds == Holds::Token { mode & PRIVATE } else { mode };
            fresh.as_file().set_permissions(Permissions::from_mode(mode))?;
        }
        fresh.as_file().sync_all()?;
        Ok(fresh)
    }

    fn is_unchanged(&self) -> Result<(), FileError> {
        let look =
            |about: &Metadata| (about.dev(), about.ino(), about.size(), about.mtime(), about.mtime_nsec());
        let now = std::fs::symlink_metadata(&self.path).ok();
        if now.as_ref().map(look) == self.about.as_ref().map(look) {
            Ok(())
        } else {
            Err(FileError::Changed { path: self.path.clone() })
        }
    }

    fn back_up(&self, now: OffsetDateTime) -> Result<PathBuf, FileError> {
        let form = format_description!("[year][month][day]T[hour][minute][second]Z");
        let moment = now.to_offset(time::UtcOffset::UTC).format(form).unwrap_or_default();
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        for number in 1..=MAX_BACKUPS {
            let more = if number == 1 { String::new() } else { format!("-{number}") };
            let path = self.path.with_file_name(format!("{name}.{moment}{more}.bak"));
            let made = OpenOptions::new().write(true).create_new(true).mode(PRIVATE).open(&path);
            let mut file = match made {
                Ok(file) => file,
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => continue,
                Err(error) => return Err(self.refused("back up")(error)),
            };
            let written = file.write_all(self.text.as_bytes()).and_then(|()| file.sync_all());
            return match written {
                Ok(()) => Ok(path),
                Err(error) => {
                    // Half a backup is none.
                    let _ = std::fs::remove_file(&path);
                    Err(self.refused("back up")(error))
                }
            };
        }
        Err(self.refused("back up")(std::io::ErrorKind::AlreadyExists.into()))
    }

    fn refused(&self, what: &'static str) -> impl Fn(std::io::Error) -> FileError {
        let path = self.path.clone();
        move |source| FileError::System { what, path: path.clone(), source }
    }
}

#[cfg(test)]
mod tests;
