//! Whom the first key is written for: the profile of who starts the service, or the file that an operator names.

use std::fs;
use std::path::Path;

use anyhow::Context;
use roadstead_accounts::{Accounts, ExposeSecret, PlainToken, Purpose};
use roadstead_cli::Profile;
use roadstead_crypto::TokenKind;

/// The profile's name in the data folder.
pub const PROFILE_FILE: &str = "profile.json";

/// Makes the first admin and key; a profile that is missing gets a key of its own.
pub async fn ensure(
    accounts: &Accounts,
    data_folder: &Path,
    url: &str,
    bootstrap_key_file: Option<&Path>,
) -> anyhow::Result<()> {
    if let Some(path) = bootstrap_key_file {
        return from_file(accounts, path).await;
    }
    let path = data_folder.join(PROFILE_FILE);
    let first = accounts.bootstrap(None).await?;
    let known = Profile::read(&path).ok();
    let key = match (first, &known) {
        (Some(key), _) => key.expose_secret().to_owned(),
        (None, Some(known)) if still_opens(accounts, known).await => {
            if known.url == url {
                return Ok(());
            }
            known.api_key.expose_secret().to_owned()
        }
        (None, _) => accounts.another_admin_key().await?.expose_secret().to_owned(),
    };
    let profile =
        Profile { url: url.to_owned(), api_key: key.into(), data_dir: Some(data_folder.to_owned()) };
    profile.write(&path)?;
    Ok(())
}

async fn still_opens(accounts: &Accounts, profile: &Profile) -> bool {
    accounts.authenticate(Some(profile.api_key.expose_secret()), Purpose::Look, None, None).await.is_ok()
}

/// The first key from a file that an operator made, or into it, for its owner alone.
async fn from_file(accounts: &Accounts, path: &Path) -> anyhow::Result<()> {
    let given = match fs::read_to_string(path) {
        Ok(text) => Some(PlainToken::parse(TokenKind::ApiKey, text.trim()).with_context(|| {
            format!("{} does not hold an API key; remove it to have one made", path.display())
        })?),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => return Err(error).with_context(|| format!("could not read {}", path.display())),
    };
    let write = given.is_none();
    if let Some(key) = accounts.bootstrap(given).await?
        && write
    {
        let text = format!("{}\n", key.expose_secret());
        crate::data_folder::write_private(path, text.as_bytes())
            .with_context(|| format!("could not write {}", path.display()))?;
    }
    Ok(())
}
