//! The cache of unpacked kernels.
//!
//! ```text
//! DIGEST                     an unpacked kernel, by the SHA-256 of its source
//! index/DEVICE-INODE.json    what is known of a source, valid while its stamp is
//! .lock                      held by the process that unpacks
//! ```

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{Error, KernelInfo, Result, io_error};
use crate::state::{Lock, WorkDir, write_atomic};

/// What changes when a file does: the kernel keeps `ctime`, users cannot set it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Stamp {
    device: u64,
    inode: u64,
    /// Bytes.
    size: u64,
    /// Seconds and nanoseconds since the epoch.
    mtime: (i64, i64),
    /// Seconds and nanoseconds since the epoch.
    ctime: (i64, i64),
}

impl Stamp {
    pub fn of(file: &File) -> io::Result<Stamp> {
        let meta = file.metadata()?;
        Ok(Stamp {
            device: meta.dev(),
            inode: meta.ino(),
            size: meta.size(),
            mtime: (meta.mtime(), meta.mtime_nsec()),
            ctime: (meta.ctime(), meta.ctime_nsec()),
        })
    }
}

/// What the index keeps about one source.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Entry {
    /// For a person who reads the index.
    source: String,
    /// SHA-256 of the source, hexadecimal: the file name in the cache.
    digest: String,
    pv: bool,
    pvh: bool,
}

impl Entry {
    pub fn new(source: &Path, digest: String, info: &KernelInfo) -> Entry {
        Entry { source: source.display().to_string(), digest, pv: info.pv, pvh: info.pvh }
    }
}

/// One file of the index.
#[derive(Serialize, Deserialize)]
struct Record<E> {
    stamp: Stamp,
    entry: E,
}

pub(super) struct Cache<'a> {
    dir: PathBuf,
    tmp: &'a Path,
}

impl<'a> Cache<'a> {
    pub fn new(dir: &Path, tmp: &'a Path) -> io::Result<Self> {
        Ok(Cache { dir: std::path::absolute(dir)?, tmp })
    }

    /// The unpacked form of the source with this stamp, if it is here. An index
    /// that cannot be read is no index.
    pub fn find(&self, stamp: &Stamp) -> Option<KernelInfo> {
        let record: Record<Entry> =
            serde_json::from_slice(&fs::read(self.index(stamp)).ok()?).ok()?;
        let entry = record.entry;
        let path = self.dir.join(&entry.digest);
        let valid = record.stamp == *stamp && path.is_file();
        valid.then_some(KernelInfo { path, pv: entry.pv, pvh: entry.pvh })
    }

    /// The file for `digest`, filled by `fill` unless it is here already. It
    /// appears whole or not at all, and one process at a time does the work.
    pub fn make(
        &self,
        digest: &str,
        fill: impl FnOnce(&mut File) -> Result<()>,
    ) -> Result<PathBuf> {
        let dir = &self.dir;
        fs::create_dir_all(dir).map_err(io_error("create", dir))?;
        let path = dir.join(digest);
        let _lock = Lock::exclusive(&dir.join(".lock")).map_err(io_error("lock", dir))?;
        if path.is_file() {
            return Ok(path);
        }
        let work = WorkDir::new(self.tmp).map_err(io_error("create", self.tmp))?;
        let half = work.path().join("kernel");
        let mut out = File::options()
            .read(true)
            .write(true)
            .create_new(true)
            .open(&half)
            .map_err(io_error("create", &half))?;
        fill(&mut out)?;
        out.sync_all().map_err(io_error("write", &half))?;
        fs::rename(&half, &path).map_err(io_error("create", &path))?;
        File::open(dir).and_then(|d| d.sync_all()).map_err(io_error("write", dir))?;
        Ok(path)
    }

    /// Notes `entry` for the source with this stamp.
    pub fn remember(&self, stamp: &Stamp, entry: &Entry) -> Result<()> {
        let path = self.index(stamp);
        let dir = self.dir.join("index");
        fs::create_dir_all(&dir).map_err(io_error("create", &dir))?;
        let record = Record { stamp: stamp.clone(), entry };
        serde_json::to_vec_pretty(&record)
            .map_err(io::Error::from)
            .and_then(|json| write_atomic(&path, &json))
            .map_err(|error| Error::Io { action: "write", path, error })
    }

    fn index(&self, stamp: &Stamp) -> PathBuf {
        self.dir.join(format!("index/{}-{}.json", stamp.device, stamp.inode))
    }
}

/// SHA-256 of a file, in hexadecimal.
pub(super) fn digest(mut file: &File) -> io::Result<String> {
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 17];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(n) => hash.update(&buffer[..n]),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}
