//! The passwords of the cluster's three roles, each in a file that only we may read.

use std::io;
use std::path::Path;

use rand::CryptoRng;
use secrecy::{ExposeSecret, SecretString};

use super::error::{PostgresError, file_error};
use crate::data_folder::write_private;

/// 256 bits: nobody guesses it, so the number of guesses needs no limit.
const PASSWORD_BYTES: usize = 32;

/// One password per role.
#[derive(Debug)]
pub(super) struct Passwords {
    pub(super) admin: SecretString,
    pub(super) owner: SecretString,
    pub(super) app: SecretString,
    /// Whether the server may not know some of these yet.
    pub(super) changed: bool,
}

impl Passwords {
    /// Reads the passwords. Those missing are made, except the way into a cluster that exists.
    pub(super) fn open(
        folder: &Path,
        cluster_exists: bool,
        rng: &mut (impl CryptoRng + ?Sized),
    ) -> Result<Self, PostgresError> {
        let admin_file = folder.join("admin.password");
        let (admin, admin_changed) = match read(&admin_file)? {
            Some(password) => (password, false),
            None if cluster_exists => return Err(PostgresError::PasswordLost { path: admin_file }),
            None => (make(&admin_file, rng)?, true),
        };
        let (owner, owner_changed) = read_or_make(&folder.join("owner.password"), rng)?;
        let (app, app_changed) = read_or_make(&folder.join("app.password"), rng)?;
        Ok(Self { admin, owner, app, changed: admin_changed || owner_changed || app_changed })
    }

    /// The service's password alone; none before there is one.
    pub(super) fn app_of(folder: &Path) -> Result<Option<SecretString>, PostgresError> {
        read(&folder.join("app.password"))
    }
}

fn read_or_make(
    path: &Path,
    rng: &mut (impl CryptoRng + ?Sized),
) -> Result<(SecretString, bool), PostgresError> {
    match read(path)? {
        Some(password) => Ok((password, false)),
        None => Ok((make(path, rng)?, true)),
    }
}

/// None when the file is missing or holds anything but a password of ours: the text goes into SQL.
fn read(path: &Path) -> Result<Option<SecretString>, PostgresError> {
    match std::fs::read_to_string(path) {
        Ok(text) => {
            let password = text.trim_end();
            let ours =
                password.len() == 2 * PASSWORD_BYTES && password.bytes().all(|b| b.is_ascii_hexdigit());
            Ok(ours.then(|| SecretString::from(password)))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(file_error("read", path)(error)),
    }
}

fn make(path: &Path, rng: &mut (impl CryptoRng + ?Sized)) -> Result<SecretString, PostgresError> {
    let mut bytes = [0_u8; PASSWORD_BYTES];
    rng.fill_bytes(&mut bytes);
    let password = SecretString::from(hex::encode(bytes));
    write_private(path, password.expose_secret().as_bytes()).map_err(file_error("write", path))?;
    Ok(password)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    #[test]
    fn passwords_are_made_once_apart_from_each_other_and_readable_by_us_alone() {
        let folder = tempfile::tempdir().unwrap();
        let mut rng = StdRng::seed_from_u64(7);
        let first = Passwords::open(folder.path(), false, &mut rng).unwrap();
        let second = Passwords::open(folder.path(), true, &mut rng).unwrap();
        assert!(first.changed && !second.changed);
        assert_eq!(first.admin.expose_secret(), second.admin.expose_secret());
        assert_ne!(first.owner.expose_secret(), first.app.expose_secret());
        for file in folder.path().read_dir().unwrap() {
            assert_eq!(file.unwrap().metadata().unwrap().permissions().mode() & 0o777, 0o600);
        }
    }

    #[test]
    fn a_lost_password_of_an_existing_cluster_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let refused = Passwords::open(folder.path(), true, &mut StdRng::seed_from_u64(7)).unwrap_err();
        assert!(refused.to_string().contains("admin.password"), "{refused}");
    }

    #[test]
    fn a_damaged_password_of_a_role_is_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        let mut rng = StdRng::seed_from_u64(7);
        Passwords::open(folder.path(), false, &mut rng).unwrap();
        std::fs::write(folder.path().join("app.password"), "'; drop role x; --").unwrap();
        let after = Passwords::open(folder.path(), true, &mut rng).unwrap();
        assert!(after.changed);
        assert_eq!(after.app.expose_secret().len(), 64);
    }
}
