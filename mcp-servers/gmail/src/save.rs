//! The folder that attachments are saved in: plain files with plain names, and nothing outside it.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use roadstead_server_kit::{Code, Failure};

/// Longest name of a saved file, in bytes.
const LONGEST_NAME: usize = 200;
/// Letters of an attachment's own name that are kept.
const KEPT_LETTERS: usize = 80;

/// A folder of this server's own.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
}

impl Folder {
    /// It is made when the first file is saved.
    pub fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// Saves a file whole or not at all; the same attachment has the same name each time. Its name and its place.
    pub fn save(&self, name: &str, bytes: &[u8]) -> Result<PathBuf, Failure> {
        let path = self.path.join(name);
        let part = self.path.join(format!(".{name}.part"));
        let write = || {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.path)?;
            remove(&part)?;
            let mut file = File::options().write(true).create_new(true).mode(0o600).open(&part)?;
            file.write_all(bytes)?;
            file.sync_all()?;
            fs::rename(&part, &path)
        };
        match write() {
            Ok(()) => Ok(path),
            Err(error) => {
                // What is left of it helps nobody; the first error counts.
                let _ = remove(&part);
                Err(broken("saved", &error))
            }
        }
    }

    /// A saved file, if it is no larger than so many bytes.
    pub fn read(&self, name: &str, most: usize) -> Result<Vec<u8>, Failure> {
        let is_plain = (1..=LONGEST_NAME).contains(&name.len())
            && !name.starts_with('.')
            && !name.contains(|letter: char| letter == '/' || letter == '\\' || letter.is_control());
        if !is_plain {
            return Err(Failure::invalid(
                "`saved_file` must be the name that save_attachment told, without a path.",
            ));
        }
        let path = self.path.join(name);
        let read = || {
            // A link would lead out of the folder.
            if !fs::symlink_metadata(&path)?.is_file() {
                return Err(io::Error::from(io::ErrorKind::NotFound));
            }
            let mut bytes = Vec::new();
            File::open(&path)?.take(most as u64 + 1).read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        match read() {
            Ok(bytes) if bytes.len() <= most => Ok(bytes),
            Ok(_) => {
                Err(Failure::new(Code::TooLarge, format!("The saved file is larger than {most} bytes.")))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(Failure::new(Code::NotFound, "There is no saved file of this name."))
            }
            Err(error) => Err(broken("read", &error)),
        }
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn broken(done: &str, error: &io::Error) -> Failure {
    Failure::new(
        Code::Refused,
        format!("The file could not be {done} in the server's folder: {}.", error.kind()),
    )
    .with_hint("It may be full, or not writable.")
}

/// A plain name for an attachment: which one it is, and what its sender called it, as far as that is harmless.
pub fn plain_name(message: &str, part: &str, name: &str) -> String {
    let is_plain = |letter: char| letter.is_alphanumeric() || "._-".contains(letter);
    let base = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let kept: String =
        base.chars().map(|letter| if is_plain(letter) { letter } else { '_' }).take(KEPT_LETTERS).collect();
    let kept = kept.trim_start_matches('.');
    let kept = if kept.is_empty() { "attachment" } else { kept };
    let part: String =
        part.chars().filter(|letter| letter.is_ascii_alphanumeric() || *letter == '.').collect();
    let whole = format!("{message}-{part}-{kept}");
    crate::decode::cut(&whole, LONGEST_NAME).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_plain_and_stay_in_the_folder() {
        for (name, plain) in [
            ("invoice.pdf", "m1-2-invoice.pdf"),
            ("../../etc/passwd", "m1-2-passwd"),
            ("C:\\evil\\a b?.exe", "m1-2-a_b_.exe"),
            (".bashrc", "m1-2-bashrc"),
            ("", "m1-2-attachment"),
            ("größe\u{202e}.txt", "m1-2-größe_.txt"),
        ] {
            assert_eq!(plain_name("m1", "2", name), plain);
        }
        assert!(plain_name("m1", "2", &"ü".repeat(300)).len() <= LONGEST_NAME);
        assert_eq!(plain_name("m1", "../1", "a"), "m1-..1-a");
    }

    #[test]
    fn a_file_is_saved_twice_and_read_back() {
        let place = tempfile::tempdir().unwrap();
        let folder = Folder::new(place.path().join("files"));
        folder.save("a.txt", b"one").unwrap();
        let path = folder.save("a.txt", b"two").unwrap();
        assert_eq!(folder.read("a.txt", 3).unwrap(), b"two");
        assert_eq!(folder.read("a.txt", 2).unwrap_err().code(), Code::TooLarge);
        assert_eq!(folder.read("b.txt", 2).unwrap_err().code(), Code::NotFound);
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "nothing is left behind");
    }

    #[test]
    fn what_is_no_plain_name_of_a_plain_file_is_not_read() {
        let place = tempfile::tempdir().unwrap();
        let folder = Folder::new(place.path().join("files"));
        fs::create_dir(place.path().join("files")).unwrap();
        fs::write(place.path().join("secret"), "s").unwrap();
        std::os::unix::fs::symlink(place.path().join("secret"), place.path().join("files/link")).unwrap();
        for name in ["../secret", "/etc/passwd", "..", ".", "", ".a", "a\nb"] {
            assert_eq!(folder.read(name, 100).unwrap_err().code(), Code::InvalidInput, "{name}");
        }
        assert_eq!(folder.read("link", 100).unwrap_err().code(), Code::NotFound);
    }
}
