//! Root disks that containers with the same root share.
//!
//! ```text
//! DIR/disks/NAME.squashfs   a disk; its time is that of its last use
//!          /.lock           held by whoever adds or removes one
//! ```
//!
//! Whoever uses a disk has a link to it: one that is removed here goes with its last user.

use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::error::at;
use super::{Result, overlay, rootfs};
use crate::image::Digest;
use crate::state::Lock;

/// How many are kept, and how many bytes of them: the last that were used.
const MAX_DISKS: usize = 32;
const MAX_BYTES: u64 = 10 << 30;

/// Gives `disk`, a path that is free, the root disk of `rootfs`: one that is there already,
/// or a new one. The directory `dir` is on the same file system.
///
/// # Errors
/// [`super::Error::Disk`]; the disk cannot be written.
pub fn obtain(dir: &Path, rootfs: &Path, disk: &Path) -> Result<()> {
    let name = name(rootfs);
    let Some(kept) = name.map(|name| path(dir, &name)) else { return rootfs::make(rootfs, disk) };
    if take(&kept, disk).map_err(at(&kept))? {
        tracing::debug!(disk = %kept.display(), "the root disk is there already");
        return Ok(());
    }
    rootfs::make(rootfs, disk)?;
    // It is what its name says only if nobody has changed the root meanwhile.
    if self::name(rootfs) == name {
        keep(dir, disk, &kept).map_err(at(&kept))?;
    }
    Ok(())
}

/// A root without a name is made anew each time.
fn name(rootfs: &Path) -> Option<Digest> {
    overlay::name(rootfs).unwrap_or_else(|e| {
        tracing::debug!("cannot tell what is in {}: {e}", rootfs.display());
        None
    })
}

fn path(dir: &Path, name: &Digest) -> PathBuf {
    dir.join("disks").join(format!("{}.squashfs", name.hex()))
}

/// Links a disk that is kept, if it is there.
fn take(kept: &Path, disk: &Path) -> io::Result<bool> {
    match fs::hard_link(kept, disk) {
        Ok(()) => {
            // Only the order of removal depends on it.
            let used = File::open(disk).and_then(|file| file.set_modified(SystemTime::now()));
            used.map_or_else(|e| tracing::debug!("{}: {e}", kept.display()), drop);
            Ok(true)
        }
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(e) => Err(e),
    }
}

/// Keeps a new disk, and as many of the others as there is room for.
fn keep(dir: &Path, disk: &Path, kept: &Path) -> io::Result<()> {
    File::open(disk)?.sync_all()?;
    let dir = dir.join("disks");
    fs::create_dir_all(&dir)?;
    let _held = Lock::exclusive(&dir.join(".lock"))?;
    match fs::hard_link(disk, kept) {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(e),
        _ => {}
    }
    let (mut count, mut bytes) = (0, 0_u64);
    for (path, meta) in disks(&dir)? {
        (count, bytes) = (count + 1, bytes.saturating_add(meta.len()));
        if path != kept && (count > MAX_DISKS || bytes > MAX_BYTES) {
            fs::remove_file(&path)?;
        }
    }
    Ok(())
}

/// All disks, the last used first.
fn disks(dir: &Path) -> io::Result<Vec<(PathBuf, Metadata)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "squashfs") {
            let meta = fs::metadata(&path)?;
            found.push((path, meta));
        }
    }
    let used = |meta: &Metadata| (meta.mtime(), meta.mtime_nsec());
    found.sort_by_key(|(_, meta)| std::cmp::Reverse(used(meta)));
    Ok(found)
}

/// Removes all that are kept. Returns the bytes that are free then: a disk that somebody
/// uses stays until they are done.
///
/// # Errors
/// The system's.
pub fn prune(dir: &Path) -> Result<u64> {
    let dir = dir.join("disks");
    if !dir.exists() {
        return Ok(0);
    }
    let prune = || -> io::Result<u64> {
        let _held = Lock::exclusive(&dir.join(".lock"))?;
        let mut freed = 0;
        for (path, meta) in disks(&dir)? {
            fs::remove_file(path)?;
            freed += if meta.nlink() == 1 { 512 * meta.blocks() } else { 0 };
        }
        Ok(freed)
    };
    prune().map_err(at(&dir))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_root_without_a_name_is_made_and_not_kept() {
        let dir = tempfile::tempdir().unwrap();
        let (root, disk) = (dir.path().join("root"), dir.path().join("disk"));
        fs::create_dir(&root).unwrap();
        obtain(dir.path(), &root, &disk).unwrap();
        assert_eq!(fs::read(&disk).unwrap()[..4], *b"hsqs");
        assert!(!dir.path().join("disks").exists());
        assert_eq!(prune(dir.path()).unwrap(), 0);
    }

    #[test]
    fn a_kept_disk_is_taken_and_the_last_used_stay() {
        let dir = tempfile::tempdir().unwrap();
        let name = |n: usize| path(dir.path(), &Digest::of(&n.to_le_bytes()));
        for n in 0..=MAX_DISKS {
            let disk = dir.path().join(n.to_string());
            fs::write(&disk, [7; 5000]).unwrap();
            let used = SystemTime::UNIX_EPOCH + Duration::from_secs(n as u64);
            File::options().write(true).open(&disk).unwrap().set_modified(used).unwrap();
            keep(dir.path(), &disk, &name(n)).unwrap();
            if n == MAX_DISKS - 1 {
                assert!(take(&name(0), &dir.path().join("taken")).unwrap());
            } else {
                fs::remove_file(&disk).unwrap();
            }
        }
        let there = |n| name(n).exists();
        assert!(there(0) && !there(1) && there(2) && there(MAX_DISKS));
        assert!(!take(&name(1), &dir.path().join("none")).unwrap());
        // Two of them are somebody's.
        let one = fs::metadata(name(2)).unwrap().blocks() * 512;
        assert_eq!(prune(dir.path()).unwrap(), (MAX_DISKS as u64 - 2) * one);
        assert_eq!(fs::read(dir.path().join("taken")).unwrap(), [7; 5000]);
    }
}
