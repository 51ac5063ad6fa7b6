//! Secrets that a server reads from descriptors: memory that no folder shows and nobody can change.

use std::fs::File;
use std::io::Write as _;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, SealFlag, fcntl, open};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::stat::Mode;
use nix::sys::statfs::{TMPFS_MAGIC, statfs};

/// One secret in memory.
#[derive(Debug)]
pub struct SealedSecret(OwnedFd);

impl SealedSecret {
    /// Keeps it.
    pub fn new(secret: &[u8]) -> Result<Self, Errno> {
        let memory = memfd_create(c"secret", MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING)?;
        let mut file = File::from(memory);
        file.write_all(secret).map_err(|error| error.raw_os_error().map_or(Errno::EIO, Errno::from_raw))?;
        let seals =
            SealFlag::F_SEAL_SEAL | SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_WRITE;
        fcntl(&file, FcntlArg::F_ADD_SEALS(seals))?;
        Ok(Self(file.into()))
    }

    /// Opens it for one reader, at its beginning, under a number of its own.
    #[expect(unsafe_code, reason = "a descriptor of a chosen number is a bare number until it is owned")]
    pub fn open_at(&self, number: i32) -> Result<OwnedFd, Errno> {
        let path = format!("/proc/self/fd/{}", self.0.as_raw_fd());
        let reader = open(path.as_str(), OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty())?;
        let given = fcntl(&reader, FcntlArg::F_DUPFD_CLOEXEC(number))?;
        // SAFETY: the kernel just made this descriptor for us.
        let given = unsafe { OwnedFd::from_raw_fd(given) };
        if given.as_raw_fd() == number { Ok(given) } else { Err(Errno::EBUSY) }
    }
}

/// Whether files in this folder are in memory, and on no disk.
pub fn is_in_memory(folder: &std::path::Path) -> bool {
    statfs(folder).is_ok_and(|found| found.filesystem_type() == TMPFS_MAGIC)
}
