//! Files of the folder that is installed into. All that is in it may be a stranger's: links are never followed out of it.

use std::fs;
use std::io::Read as _;
use std::path::{Component, Path};

use serde::de::DeserializeOwned;

use crate::request::Error;

/// The longest file that is read whole.
const MAX_READ_BYTES: u64 = 64 * 1024 * 1024;

pub(crate) fn error(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Error {
    let what = what.into();
    move |source| Error::File { what, source }
}

pub(crate) fn make_folder(path: &Path) -> Result<(), Error> {
    fs::create_dir_all(path).map_err(error(format!("could not make {}", path.display())))
}

pub(crate) fn write(path: &Path, text: &str) -> Result<(), Error> {
    fs::write(path, text).map_err(error(format!("could not write {}", path.display())))
}

pub(crate) fn read(path: &Path) -> Result<String, Error> {
    let mut text = String::new();
    let read = fs::File::open(path).and_then(|file| file.take(MAX_READ_BYTES).read_to_string(&mut text));
    read.map_err(error(format!("could not read {}", path.display())))?;
    Ok(text)
}

pub(crate) fn json<T: DeserializeOwned>(path: &Path) -> Result<T, Error> {
    let text = read(path)?;
    serde_json::from_str(&text).map_err(|cause| Error::Refused {
        package: path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        why: format!("it is not the JSON that it should be: {cause}"),
    })
}

pub(crate) fn remove(path: &Path) -> Result<(), Error> {
    match fs::remove_dir_all(path) {
        Err(cause) if cause.kind() != std::io::ErrorKind::NotFound => {
            Err(error(format!("could not remove {}", path.display()))(cause))
        }
        _ => Ok(()),
    }
}

/// Whether something can be called so on a command line, and nothing takes it for more than a name.
pub(crate) fn is_program_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.+~".contains(&byte))
}

/// Whether a path that a package names stays below where it is looked up.
pub(crate) fn is_below(path: &Path) -> bool {
    !path.as_os_str().is_empty()
        && path.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir))
}
