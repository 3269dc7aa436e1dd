//! What a file has besides its contents: owner, mode, times, extended attributes.

use std::ffi::CString;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use rustix::buffer::spare_capacity;
use rustix::fs::{
    AtFlags, CWD, Gid, Mode, Stat, Timespec, Timestamps, Uid, XattrFlags, chmodat, chownat,
    getxattr, listxattr, setxattr, utimensat,
};
use rustix::io::Errno;

/// Most bytes of one extended attribute and of all their names, as Linux has it
/// (`XATTR_SIZE_MAX`, `XATTR_LIST_MAX`).
const MAX_XATTR: usize = 64 * 1024;

/// Owner, mode, time and extended attributes of one file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attributes {
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    /// Seconds since 1970.
    pub mtime: i64,
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

/// Those that docker keeps: what users give, and capabilities. Others mean something
/// to this machine only.
pub fn is_kept(xattr: &[u8]) -> bool {
    xattr.starts_with(b"user.") || xattr == b"security.capability"
}

/// The name under which `/proc` has an open file, also one that is open as a path only.
pub fn path_of(fd: impl AsFd) -> String {
    format!("/proc/self/fd/{}", fd.as_fd().as_raw_fd())
}

impl Attributes {
    /// Those of an open file of which `stat` is known. A link has no extended
    /// attributes that are kept.
    pub fn of(fd: BorrowedFd<'_>, stat: &Stat, link: bool) -> rustix::io::Result<Attributes> {
        Ok(Attributes {
            mode: stat.st_mode & 0o7777,
            uid: stat.st_uid,
            gid: stat.st_gid,
            mtime: stat.st_mtime,
            xattrs: if link { Vec::new() } else { xattrs(fd)? },
        })
    }

    /// Gives them to an open file that is no link. The owner comes before the mode: to
    /// change it takes set-user-ID away, and capabilities.
    pub fn give(&self, fd: BorrowedFd<'_>) -> rustix::io::Result<()> {
        let path = path_of(fd);
        chownat(CWD, &*path, self.owner().0, self.owner().1, AtFlags::empty())?;
        chmodat(CWD, &*path, Mode::from_raw_mode(self.mode & 0o7777), AtFlags::empty())?;
        for (name, value) in self.xattrs.iter().filter(|(name, _)| is_kept(name)) {
            let Ok(name) = CString::new(name.as_slice()) else { continue };
            match setxattr(&*path, &*name, value, XattrFlags::empty()) {
                // A file system that has none, as docker sees it.
                Ok(()) | Err(Errno::OPNOTSUPP) => {}
                Err(errno) => return Err(errno),
            }
        }
        utimensat(CWD, &*path, &self.times(), AtFlags::empty())
    }

    /// Gives a link the two that it has, by its name in `dir`.
    pub fn give_link(&self, dir: BorrowedFd<'_>, name: &std::ffi::OsStr) -> rustix::io::Result<()> {
        chownat(dir, name, self.owner().0, self.owner().1, AtFlags::SYMLINK_NOFOLLOW)?;
        utimensat(dir, name, &self.times(), AtFlags::SYMLINK_NOFOLLOW)
    }

    fn owner(&self) -> (Option<Uid>, Option<Gid>) {
        (Some(Uid::from_raw(self.uid)), Some(Gid::from_raw(self.gid)))
    }

    fn times(&self) -> Timestamps {
        let time = Timespec { tv_sec: self.mtime, tv_nsec: 0 };
        Timestamps { last_access: time, last_modification: time }
    }
}

fn xattrs(fd: BorrowedFd<'_>) -> rustix::io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let path = path_of(fd);
    let mut names: Vec<u8> = Vec::with_capacity(MAX_XATTR);
    match listxattr(&*path, spare_capacity(&mut names)) {
        Err(Errno::OPNOTSUPP) => return Ok(Vec::new()),
        listed => listed?,
    };
    let mut found = Vec::new();
    for name in names.split(|byte| *byte == 0).filter(|name| is_kept(name)) {
        let Ok(key) = CString::new(name) else { continue };
        let mut value = Vec::with_capacity(MAX_XATTR);
        match getxattr(&*path, &*key, spare_capacity(&mut value)) {
            // It has been removed meanwhile.
            Err(Errno::NODATA) => {}
            got => {
                got?;
                found.push((name.to_vec(), value));
            }
        }
    }
    Ok(found)
}
