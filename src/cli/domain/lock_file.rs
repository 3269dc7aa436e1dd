//! A lock whose file goes away with it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::state::Lock;

/// A held lock. Its file is removed while it is still held; who waits for it looks
/// whether the file that he got is still there.
#[derive(Debug)]
pub struct LockFile {
    path: PathBuf,
    _lock: Lock,
}

impl LockFile {
    /// Waits for the lock on `path`.
    pub fn take(path: &Path) -> Result<LockFile> {
        let lock = Lock::exclusive(path).with_context(|| cannot_lock(path))?;
        Ok(LockFile { path: path.to_owned(), _lock: lock })
    }

    /// Takes the lock on `path` if nobody has it.
    pub fn try_take(path: &Path) -> Result<Option<LockFile>> {
        let lock = Lock::try_exclusive(path).with_context(|| cannot_lock(path))?;
        Ok(lock.map(|lock| LockFile { path: path.to_owned(), _lock: lock }))
    }
}

fn cannot_lock(path: &Path) -> String {
    format!("cannot lock {}", path.display())
}

impl Drop for LockFile {
    fn drop(&mut self) {
        if let Err(e) = fs::remove_file(&self.path) {
            tracing::warn!("cannot remove {}: {e}", self.path.display());
        }
    }
}
