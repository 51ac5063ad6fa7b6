//! Archives as somebody who means harm would write them: any name, any kind of entry.

use std::io::Write as _;

use flate2::write::GzEncoder;
use flate2::{Compression, Crc};

const BLOCK_BYTES: usize = 512;

/// Something in an archive.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Where, in whatever words.
    pub path: String,
    /// What it holds; of a link, where it leads.
    pub content: Vec<u8>,
    /// Whether it is a symbolic link.
    pub is_link: bool,
    /// Whether its path is taken as it is, also in an archive whose files lie in a folder.
    pub is_bare: bool,
}

impl Entry {
    /// A file.
    pub fn file(path: &str, content: impl Into<Vec<u8>>) -> Self {
        Self { path: path.to_owned(), content: content.into(), is_link: false, is_bare: false }
    }

    /// A symbolic link.
    pub fn link(path: &str, target: &str) -> Self {
        Self { is_link: true, ..Self::file(path, target) }
    }

    /// A file at exactly this path.
    pub fn bare(path: &str, content: &str) -> Self {
        Self { is_bare: true, ..Self::file(path, content) }
    }
}

/// A compressed tar archive with everything below `package/`.
pub(super) fn tarball(entries: &[Entry]) -> Vec<u8> {
    let mut tar = Vec::new();
    for entry in entries {
        let path = if entry.is_bare { entry.path.clone() } else { format!("package/{}", entry.path) };
        let (kind, link, content): (u8, &[u8], &[u8]) =
            if entry.is_link { (b'2', &entry.content, b"") } else { (b'0', b"", &entry.content) };
        let mut header = [0_u8; BLOCK_BYTES];
        let mut put = |at: usize, bytes: &[u8]| header[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, path.as_bytes());
        put(100, b"0000755\0");
        put(108, b"0000000\0");
        put(116, b"0000000\0");
        put(124, format!("{:011o}\0", content.len()).as_bytes());
        put(136, b"00000000000\0");
        put(148, b"        ");
        put(156, &[kind]);
        put(157, link);
        put(257, b"ustar\x0000");
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        tar.extend(header);
        tar.extend(content);
        tar.resize(tar.len().next_multiple_of(BLOCK_BYTES), 0);
    }
    tar.resize(tar.len() + 2 * BLOCK_BYTES, 0);
    let mut out = GzEncoder::new(Vec::new(), Compression::default());
    out.write_all(&tar).and_then(|()| out.finish()).expect("memory takes it")
}

/// A zip archive without compression.
pub(super) fn zip(entries: &[Entry]) -> Vec<u8> {
    let (mut out, mut directory) = (Vec::new(), Vec::new());
    for entry in entries {
        let mut crc = Crc::new();
        crc.update(&entry.content);
        let (length, at) = (number(entry.content.len()), number(out.len()));
        let mut shared = Vec::new();
        // Version, flags, stored, time and date of 1980.
        shared.extend([20, 0, 0, 0, 0, 0, 0, 0, 0x21, 0]);
        shared.extend(crc.sum().to_le_bytes());
        shared.extend(length);
        shared.extend(length);
        shared.extend(&number(entry.path.len())[..2]);
        shared.extend([0, 0]);
        out.extend(b"PK\x03\x04");
        out.extend(&shared);
        out.extend(entry.path.as_bytes());
        out.extend(&entry.content);
        directory.extend(b"PK\x01\x02");
        // Written by a Unix.
        directory.extend([20, 3]);
        directory.extend(&shared);
        directory.extend([0; 6]);
        let mode: u32 = if entry.is_link { 0o120_777 } else { 0o100_755 };
        directory.extend((mode << 16).to_le_bytes());
        directory.extend(at);
        directory.extend(entry.path.as_bytes());
    }
    let (at, length, count) = (number(out.len()), number(directory.len()), number(entries.len()));
    out.extend(&directory);
    out.extend(b"PK\x05\x06\0\0\0\0");
    out.extend(&count[..2]);
    out.extend(&count[..2]);
    out.extend(length);
    out.extend(at);
    out.extend([0, 0]);
    out
}

fn number(value: usize) -> [u8; 4] {
    u32::try_from(value).expect("a small archive").to_le_bytes()
}
