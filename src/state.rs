//! Files that outlive a process: replaced atomically, rotated, guarded by `flock`, and
//! work directories that the next command can recognise as abandoned.

pub mod rotated;

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

/// Replaces `path` with `bytes`: a reader sees the old content or the new one,
/// also after a crash (write, fsync, rename, fsync of the directory).
pub fn write_atomic(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let dir = parent(path)?;
    let mut file = tempfile::Builder::new().prefix(HALF_WRITTEN).tempfile_in(dir)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|e| e.error)?;
    File::open(dir)?.sync_all()
}

/// How the name of a file begins that is not in its place yet.
const HALF_WRITTEN: &str = ".vxn-";

/// Removes what killed processes left in the directory of `path`. For those who
/// hold the lock without which nobody writes there.
pub fn remove_half_written(path: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(parent(path)?) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    for entry in entries {
        let path = entry?.path();
        if path.file_name().is_some_and(|name| starts_with(name, HALF_WRITTEN)) {
            fs::remove_file(&path)?;
        }
    }
    Ok(())
}

fn parent(path: &Path) -> io::Result<&Path> {
    path.parent().filter(|p| !p.as_os_str().is_empty()).ok_or_else(|| {
        io::Error::new(io::ErrorKind::InvalidInput, format!("{}: no directory", path.display()))
    })
}

/// A held `flock(2)`; released when dropped, and by the kernel when the process
/// dies, so a lock that can be taken has no living owner.
#[derive(Debug)]
pub struct Lock(#[expect(dead_code, reason = "held for its Drop")] Flock<File>);

impl Lock {
    /// Waits for the exclusive lock on `path`, creating the file if need be.
    pub fn exclusive(path: &Path) -> io::Result<Lock> {
        loop {
            let file = open_lock(path)?;
            let lock = Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, e)| e)?;
            if is_current(&lock, path)? {
                return Ok(Lock(lock));
            }
        }
    }

    /// Takes the exclusive lock on `path` if nobody holds it.
    pub fn try_exclusive(path: &Path) -> io::Result<Option<Lock>> {
        match Flock::lock(open_lock(path)?, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => Ok(is_current(&lock, path)?.then_some(Lock(lock))),
            Err((_, Errno::EWOULDBLOCK)) => Ok(None),
            Err((_, e)) => Err(e.into()),
        }
    }
}

fn open_lock(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}

/// Whether the locked file is still the one at `path`: its former owner may have
/// unlinked it while we waited.
fn is_current(lock: &Flock<File>, path: &Path) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt;
    let held = lock.metadata()?;
    match fs::metadata(path) {
        Ok(now) => Ok(now.dev() == held.dev() && now.ino() == held.ino()),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(e) => Err(e),
    }
}

/// A held [`Lock`] whose file goes away with it: it is removed while it is still
/// held, and who waits for it looks whether the file that he got is still there.
#[derive(Debug)]
pub struct LockFile {
    path: PathBuf,
    _lock: Lock,
}

impl LockFile {
    /// Waits for the exclusive lock on `path`.
    pub fn exclusive(path: &Path) -> io::Result<LockFile> {
        Ok(LockFile { path: path.to_owned(), _lock: Lock::exclusive(path)? })
    }

    /// Takes the exclusive lock on `path` if nobody holds it.
    pub fn try_exclusive(path: &Path) -> io::Result<Option<LockFile>> {
        let lock = Lock::try_exclusive(path)?;
        Ok(lock.map(|lock| LockFile { path: path.to_owned(), _lock: lock }))
    }
}

impl Drop for LockFile {
    fn drop(&mut self) {
        if let Err(e) = fs::remove_file(&self.path) {
            tracing::warn!("cannot remove {}: {e}", self.path.display());
        }
    }
}

/// A private directory for half-made files. Removed on drop; when its maker was
/// killed, [`WorkDir::reap`] finds it by its free lock.
#[derive(Debug)]
pub struct WorkDir {
    path: PathBuf,
    _lock: Lock,
}

const LOCK_NAME: &str = ".lock";
const PREFIX: &str = "work-";

impl WorkDir {
    /// Makes a directory under `root` (usually `/var/lib/vxn/tmp`).
    pub fn new(root: &Path) -> io::Result<WorkDir> {
        fs::create_dir_all(root)?;
        // The root's own lock keeps the reaper out of the gap between mkdir and flock.
        let _root = LockFile::exclusive(&root.join(LOCK_NAME))?;
        let path = tempfile::Builder::new().prefix(PREFIX).tempdir_in(root)?.keep();
        let _lock = Lock::exclusive(&path.join(LOCK_NAME))?;
        Ok(WorkDir { path, _lock })
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Removes the directories under `root` whose makers are gone.
    pub fn reap(root: &Path) -> io::Result<()> {
        WorkDir::reap_with(root, |_| {})
    }

    /// The same; `salvage` sees each before it goes.
    pub fn reap_with(root: &Path, mut salvage: impl FnMut(&Path)) -> io::Result<()> {
        let entries = match fs::read_dir(root) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
            other => other?,
        };
        let ours = |path: &PathBuf| path.file_name().is_some_and(|n| starts_with(n, PREFIX));
        let paths: Vec<_> = entries.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>()?;
        let mut found = paths.into_iter().filter(ours).peekable();
        // Most commands find nothing, and need not write to the disk for that.
        if found.peek().is_none() {
            return Ok(());
        }
        let _root = LockFile::exclusive(&root.join(LOCK_NAME))?;
        for path in found {
            if Lock::try_exclusive(&path.join(LOCK_NAME)).is_ok_and(|l| l.is_some()) {
                salvage(&path);
                fs::remove_dir_all(&path)?;
            }
        }
        Ok(())
    }
}

fn starts_with(name: &OsStr, prefix: &str) -> bool {
    name.as_encoded_bytes().starts_with(prefix.as_bytes())
}

impl Drop for WorkDir {
    fn drop(&mut self) {
        // With the lock file gone a reaper would take us for dead; keep it out.
        let _root = self.path.parent().map(|root| LockFile::exclusive(&root.join(LOCK_NAME)));
        if let Err(e) = fs::remove_dir_all(&self.path) {
            tracing::warn!("cannot remove {}: {e}", self.path.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn atomic_write_replaces_and_leaves_no_temporary() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.json");
        write_atomic(&path, b"one").unwrap();
        write_atomic(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_held_lock_is_not_taken_twice() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let held = Lock::try_exclusive(&path).unwrap();
        assert!(held.is_some());
        assert!(Lock::try_exclusive(&path).unwrap().is_none());
        drop(held);
        assert!(Lock::try_exclusive(&path).unwrap().is_some());
    }

    #[test]
    fn a_lock_file_goes_away_and_still_excludes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let inside = std::sync::atomic::AtomicU32::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        let _held = LockFile::exclusive(&path).unwrap();
                        assert_eq!(inside.fetch_add(1, std::sync::atomic::Ordering::SeqCst), 0);
                        inside.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
                    }
                });
            }
        });
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn only_abandoned_work_directories_are_reaped() {
        let root = tempfile::tempdir().unwrap();
        let alive = WorkDir::new(root.path()).unwrap();
        let abandoned = root.path().join("work-dead");
        fs::create_dir(&abandoned).unwrap();
        fs::write(abandoned.join("half"), b"x").unwrap();
        WorkDir::reap(root.path()).unwrap();
        assert!(alive.path().exists());
        assert!(!abandoned.exists());
    }
}
