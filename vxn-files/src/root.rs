//! A root directory, out of which no path leads: every path is resolved with the
//! root as `/`, whatever links there are.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags, fstat, openat2, readlinkat};
use rustix::io::Errno;

use crate::error::{Context, Result};
use crate::place::Found;

/// Links followed in one path, as many as Linux follows.
const MAX_LINKS: u32 = 40;

/// Tries of a resolution that renames elsewhere have disturbed (openat2(2), EAGAIN).
const TRIES: u32 = 64;

/// A directory that is `/` to all paths.
#[derive(Debug)]
pub struct Root(OwnedFd);

impl Root {
    /// The root at `path` of this machine.
    ///
    /// # Errors
    /// The kernel's.
    pub fn open(path: &Path) -> Result<Root> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::openat(CWD, path, flags, Mode::empty());
        Ok(Root(root.context(format_args!("open {}", path.display()))?))
    }

    /// Opens what is at a path, links followed, as a path only: what can be mounted on.
    ///
    /// # Errors
    /// The kernel's.
    pub fn mount_point(&self, path: &Path) -> Result<OwnedFd> {
        let resolved = self.resolve(path, true)?;
        let fd = self.open_resolved(&resolved, OFlags::PATH);
        fd.context(format_args!("open {}", path.display()))
    }

    /// Follows the links of a path, with `last` one in the last place too. What is not
    /// there is no error. `..` is taken by the letter, as docker does, but in a link.
    ///
    /// # Errors
    /// [`Errno::LOOP`].
    pub(crate) fn resolve(&self, path: &Path, last: bool) -> Result<PathBuf> {
        let mut rest: VecDeque<OsString> = parts(&normalize(path)).collect();
        let (mut done, mut links) = (PathBuf::from("/"), 0);
        while let Some(part) = rest.pop_front() {
            if part == ".." {
                done.pop();
                continue;
            }
            let here = done.join(part);
            let Some(target) = self.link(&here).filter(|_| last || !rest.is_empty()) else {
                done = here;
                continue;
            };
            links += 1;
            if links > MAX_LINKS {
                return Err(Errno::LOOP).context(format_args!("resolve {}", path.display()));
            }
            if target.is_absolute() {
                done = PathBuf::from("/");
            }
            parts(&target).rev().for_each(|part| rest.push_front(part));
        }
        Ok(done)
    }

    /// Where the link at a resolved path leads, if it is one.
    fn link(&self, path: &Path) -> Option<PathBuf> {
        let fd = self.open_resolved(path, OFlags::PATH | OFlags::NOFOLLOW).ok()?;
        // Anything else is ENOENT (readlink(2)).
        let target = readlinkat(fd, "", Vec::new()).ok()?;
        Some(OsString::from_vec(target.into_bytes()).into())
    }

    /// Opens what is at a resolved path.
    pub(crate) fn open_resolved(&self, path: &Path, flags: OFlags) -> rustix::io::Result<OwnedFd> {
        open_below(self.0.as_fd(), path, flags, ResolveFlags::IN_ROOT)
    }

    /// What there is at a resolved path.
    pub(crate) fn found(&self, path: &Path) -> Result<Found> {
        match self.open_resolved(path, OFlags::PATH | OFlags::NOFOLLOW) {
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(Found::Nothing),
            Err(errno) => Err(errno).context(format_args!("look at {}", path.display())),
            Ok(fd) => {
                let stat = fstat(fd).context(format_args!("look at {}", path.display()))?;
                let directory = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
                Ok(if directory { Found::Directory } else { Found::File })
            }
        }
    }
}

/// Opens what is at `path` below `dir`, which no link of the way may change.
pub(crate) fn open_below(
    dir: impl AsFd,
    path: &Path,
    flags: OFlags,
    resolve: ResolveFlags,
) -> rustix::io::Result<OwnedFd> {
    let resolve = resolve | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    for _ in 0..TRIES {
        match openat2(dir.as_fd(), path, flags | OFlags::CLOEXEC, Mode::empty(), resolve) {
            Err(Errno::AGAIN | Errno::INTR) => {}
            opened => return opened,
        }
    }
    Err(Errno::AGAIN)
}

/// Names and `..` of a path.
fn parts(path: &Path) -> impl DoubleEndedIterator<Item = OsString> {
    let part = |component| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some(OsString::from("..")),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    };
    path.components().filter_map(part).collect::<Vec<_>>().into_iter()
}

/// An absolute path without `.` and `..`, taken by the letter as docker does.
pub fn normalize(path: &Path) -> PathBuf {
    let mut clean = PathBuf::from("/");
    for part in parts(path) {
        if part == ".." {
            clean.pop();
        } else {
            clean.push(part);
        }
    }
    clean
}

/// Whether a path is named as a directory's: it ends with `/` or `/.`.
pub(crate) fn named_directory(path: &Path) -> bool {
    path.as_os_str().as_bytes().ends_with(b"/") || names_contents(path)
}

/// Whether a path means what is in a directory: it ends with `/.`.
pub(crate) fn names_contents(path: &Path) -> bool {
    let bytes = path.as_os_str().as_bytes();
    bytes == b"." || bytes.ends_with(b"/.")
}

/// The name that a path ends with; that of the root is `.`.
pub(crate) fn base(path: &Path) -> &OsStr {
    path.file_name().unwrap_or(OsStr::new("."))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    fn resolved(links: &[(&str, &str)], path: &str, last: bool) -> PathBuf {
        let dir = tempfile::tempdir().unwrap();
        for name in ["a/b", "c/d"] {
            fs::create_dir_all(dir.path().join(name)).unwrap();
        }
        for (link, target) in links {
            symlink(target, dir.path().join(link)).unwrap();
        }
        Root::open(dir.path()).unwrap().resolve(Path::new(path), last).unwrap()
    }

    #[test]
    fn links_are_followed_inside() {
        for (link, target, path, last, expected) in [
            ("l", "/a/b", "/l/x", true, "/a/b/x"),
            ("l", "../../../a", "/l/b", true, "/a/b"),
            ("a/l", "../c/d", "/a/l/../l/x", true, "/c/d/x"),
            ("l", "/nowhere", "/l", true, "/nowhere"),
            ("l", "/nowhere", "/l", false, "/l"),
            ("l", "a/b/../..", "/l/c", true, "/c"),
            ("a/b/l", "x", "a/b/l", true, "/a/b/x"),
            ("l", "/a", "..//./l/../c", true, "/c"),
        ] {
            assert_eq!(resolved(&[(link, target)], path, last), Path::new(expected), "{path}");
        }
    }

    #[test]
    fn paths_are_cleaned_by_the_letter() {
        for (path, clean) in
            [("/", "/"), ("/a/./b//c/", "/a/b/c"), ("/a/../../b", "/b"), ("..", "/"), ("", "/")]
        {
            assert_eq!(normalize(Path::new(path)), Path::new(clean), "{path}");
        }
    }

    #[test]
    fn a_loop_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        symlink("loop", dir.path().join("loop")).unwrap();
        let root = Root::open(dir.path()).unwrap();
        assert!(root.resolve(Path::new("/loop/x"), true).is_err());
        assert_eq!(root.resolve(Path::new("/loop"), false).unwrap(), Path::new("/loop"));
    }

    #[test]
    fn ends_are_told_apart() {
        for (path, directory, contents) in
            [("a", false, false), ("a/", true, false), ("a/.", true, true), (".", true, true)]
        {
            let path = Path::new(path);
            assert_eq!((named_directory(path), names_contents(path)), (directory, contents));
        }
        assert_eq!(base(Path::new("/")), ".");
    }
}
