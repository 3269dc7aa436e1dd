//! An id while its container is created, and while it is removed: whoever holds the lock in
//! its directory has it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::Result;
use super::error::at;
use super::state::{LOCK, Record, STATE};
use crate::state::{Lock, write_atomic};

/// A container that nobody else creates or removes now.
#[derive(Debug)]
pub struct Taken {
    /// What is known of it.
    pub record: Record,
    pub(super) dir: PathBuf,
    pub(super) _lock: Lock,
}

impl Taken {
    /// Forgets the container: its id is free.
    ///
    /// # Errors
    /// Its directory cannot be removed.
    pub fn forget(self) -> Result<()> {
        forget(&self.dir).map_err(at(&self.dir))
    }
}

/// Removes a container's directory, whose lock is held. The lock goes last; whoever has
/// claimed the id since then keeps the directory.
pub(super) fn forget(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_name() != LOCK {
            fs::remove_file(entry.path())?;
        }
    }
    fs::remove_file(dir.join(LOCK))?;
    match fs::remove_dir(dir) {
        Err(e) if e.kind() == io::ErrorKind::DirectoryNotEmpty => Ok(()),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// A claimed id. It is free again when this is dropped, unless it is kept.
#[derive(Debug)]
pub struct Claim {
    pub(super) dir: PathBuf,
    pub(super) kept: bool,
    pub(super) _lock: Lock,
}

impl Claim {
    /// Writes down what the container is.
    ///
    /// # Errors
    /// The disk is full.
    pub fn record(&self, record: &Record) -> Result<()> {
        let path = self.dir.join(STATE);
        let json = serde_json::to_vec_pretty(record).map_err(|e| at(&path)(e.into()))?;
        write_atomic(&path, &json).map_err(at(&path))
    }

    /// The container is there: the id stays taken.
    pub fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if !self.kept {
            if let Err(e) = forget(&self.dir) {
                tracing::warn!("cannot remove {}: {e}", self.dir.display());
            }
        }
    }
}
