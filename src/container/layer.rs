//! The disk of a container's writable layer.
//!
//! Dom0 makes the file and an empty file system in it, and never reads it again:
//! from its first start on, a guest has written it.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use crate::tool::{self, MKE2FS};

/// Bytes of a layer of which nobody says how large it is; it takes what is written.
pub const DEFAULT_BYTES: u64 = 10 << 30;

/// Why there is no disk.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No file system could be made.
    #[error("cannot make the container's writable disk: {0}")]
    Format(#[from] tool::Error),
    /// The file could not be made.
    #[error("cannot make the container's writable disk {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's words.
        source: io::Error,
    },
}

impl Error {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Error::Format(e) => e.hint(),
            Error::Io { .. } => None,
        }
    }
}

/// Makes a sparse disk of so many bytes with an empty ext4 file system. It takes
/// as much room as is written to it. The inode tables are left to the guest's
/// kernel, which finds the file's holes to be zeros already.
pub fn make(path: &Path, bytes: u64) -> Result<(), Error> {
    let io = |source| Error::Io { path: path.to_owned(), source };
    File::create_new(path).and_then(|file| file.set_len(bytes)).map_err(io)?;
    let mut mke2fs = MKE2FS.command()?;
    mke2fs.args(["-q", "-F", "-t", "ext4", "-m", "0", "-E"]);
    mke2fs.arg("lazy_itable_init=0,lazy_journal_init=1,assume_storage_prezeroed=1,nodiscard");
    mke2fs.arg(path);
    let made = MKE2FS.start(&mut mke2fs).and_then(tool::Running::wait);
    if made.is_err() {
        fs::remove_file(path).map_err(io)?;
    }
    made?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn a_disk_is_sparse_and_holds_ext4() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("layer.img");
        make(&path, 1 << 30).unwrap();
        let meta = fs::metadata(&path).unwrap();
        assert_eq!(meta.len(), 1 << 30);
        assert!(meta.blocks() * 512 < 8 << 20, "{} blocks", meta.blocks());
        let bytes = fs::read(&path).unwrap();
        assert_eq!(bytes[1024 + 56..1024 + 58], [0x53, 0xef], "ext4's magic number");
    }

    #[test]
    fn a_disk_that_is_too_small_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("layer.img");
        let error = make(&path, 4096).unwrap_err().to_string();
        assert!(error.contains("writable disk"), "{error}");
        assert!(!path.exists());
    }
}
