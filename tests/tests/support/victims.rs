//! Processes that a test kills and no row names.

use std::path::Path;

/// The process that started another one.
pub(crate) fn parent(of: i32) -> Option<i32> {
    let stat = std::fs::read_to_string(format!("/proc/{of}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.split_whitespace().nth(1)?.parse().ok()
}

/// The first process of a data folder's private database.
pub(crate) fn postmaster(data: &Path) -> Option<i32> {
    let file = data.join("postgres").join("cluster").join("postmaster.pid");
    std::fs::read_to_string(file).ok()?.lines().next()?.trim().parse().ok()
}

/// The connections of a data folder's private database: one process each.
pub(crate) fn backends(data: &Path) -> Vec<i32> {
    let Some(first) = postmaster(data) else { return Vec::new() };
    let of_service = |pid: &i32| {
        let title = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&title).contains("[local]")
    };
    let all = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let all = all.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    all.filter(|pid| parent(*pid) == Some(first)).filter(of_service).collect()
}
