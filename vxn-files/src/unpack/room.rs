//! Room for an entry of an archive: what has its name already, and what a layer removes.

use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags, openat, statat, unlinkat};
use rustix::io::Errno;

use crate::error::{Error, Result, entry as refuse};
use crate::pack::names;
use crate::read::Member;
use crate::root::open_below;

/// What the name of a mark of something removed begins with (OCI image-spec, layer.md,
/// "Whiteouts").
const MARK: &[u8] = b".wh.";

/// The name that an entry of a layer marks as removed, if it is such a mark.
///
/// # Errors
/// A mark that names nothing, or a directory as such; opaque directories are not written by
/// whom we take layers from.
pub fn removed<'a>(entry: &[u8], name: &'a OsStr) -> Result<Option<&'a OsStr>> {
    match name.as_bytes().strip_prefix(MARK) {
        None => Ok(None),
        Some(b"" | b"." | b"..") => Err(refuse(entry, "it marks nothing as removed")),
        Some(gone) if gone.starts_with(MARK) => {
            Err(refuse(entry, "it is a mark that is not known here"))
        }
        Some(gone) => Ok(Some(OsStr::from_bytes(gone))),
    }
}

/// The directory that an entry goes into.
#[derive(Debug)]
pub struct Room<'a> {
    pub dir: &'a OwnedFd,
    /// A file takes the place of a directory, and a directory that of a file.
    pub replace: bool,
}

/// Why there is no room.
#[derive(Debug)]
pub enum Clash {
    Directory,
    File,
    System(Errno),
}

impl Clash {
    /// The same of an entry.
    pub fn blame(self, member: &Member) -> Error {
        match self {
            Clash::Directory => refuse(&member.name, "it cannot overwrite a directory"),
            Clash::File => refuse(&member.name, "a directory cannot overwrite what is none"),
            Clash::System(errno) => Error::System {
                what: format!("replace {}", String::from_utf8_lossy(&member.name)),
                source: errno.into(),
            },
        }
    }
}

impl Room<'_> {
    /// Makes room for an entry. Returns whether its directory is there already: the two
    /// become one.
    pub fn clear(&self, name: &OsStr, directory: bool) -> std::result::Result<bool, Clash> {
        let stat = match statat(self.dir, name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => return Ok(false),
            stat => stat.map_err(Clash::System)?,
        };
        let there = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
        match (there, directory) {
            (true, true) => return Ok(true),
            (true, false) if !self.replace => return Err(Clash::Directory),
            (false, true) if !self.replace => return Err(Clash::File),
            _ => self.remove(name).map_err(Clash::System)?,
        }
        Ok(false)
    }

    /// Removes what has a name, with all that is in it. It may be gone already.
    pub fn remove(&self, name: &OsStr) -> rustix::io::Result<()> {
        match unlinkat(self.dir, name, AtFlags::empty()) {
            Err(Errno::NOENT) => return Ok(()),
            Err(Errno::ISDIR) => {}
            removed => return removed,
        }
        // Directories are opened by their paths from here: as deep as they are, one is open.
        let mut left = vec![PathBuf::from(name)];
        while let Some(dir) = left.last() {
            let below = self.empty(dir)?;
            if below.is_empty() {
                unlinkat(self.dir, dir.as_path(), AtFlags::REMOVEDIR)?;
                left.pop();
            } else {
                left.extend(below);
            }
        }
        Ok(())
    }

    /// Removes what is in a directory but for the directories, which are returned.
    fn empty(&self, path: &Path) -> rustix::io::Result<Vec<PathBuf>> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW;
        let dir = open_below(self.dir, path, flags, ResolveFlags::BENEATH)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let dir = openat(&dir, ".", flags, Mode::empty())?;
        let mut below = Vec::new();
        for name in names(&dir)? {
            match unlinkat(&dir, &name, AtFlags::empty()) {
                Ok(()) | Err(Errno::NOENT) => {}
                Err(Errno::ISDIR) => below.push(path.join(name)),
                Err(errno) => return Err(errno),
            }
        }
        Ok(below)
    }
}
