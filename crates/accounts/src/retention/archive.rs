//! A month in a file: whole and on the disk before the month goes, or not there.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use roadstead_store::{MonthRow, Store};

use super::RunError;

/// Writes `{month}.csv.gz`, readable by us alone. One that is there already is of an attempt that was broken off after it.
pub(super) async fn write(store: &Store, folder: &Path, month: &MonthRow) -> Result<(), RunError> {
    match DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error.into()),
        _ => {}
    }
    let path = folder.join(format!("{}.csv.gz", month.name));
    let part = folder.join(format!("{}.csv.gz.part", month.name));
    let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&part)?;
    let mut out = GzEncoder::new(BufWriter::new(file), Compression::default());
    store.retention().write_month(month, &mut |piece| out.write_all(piece)).await??;
    let file = out.finish()?.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.sync_all()?;
    std::fs::rename(&part, &path)?;
    File::open(folder)?.sync_all()?;
    Ok(())
}
