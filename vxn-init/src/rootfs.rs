//! Files of the container's root, reached without leaving it: every path is
//! resolved with the root as `/` (openat2(2), `RESOLVE_IN_ROOT`), whatever
//! symbolic links the image holds.

use std::{
    fs::File,
    io::{self, Read, Write},
    os::fd::{AsFd, OwnedFd},
    path::{Path, PathBuf},
};

use nix::{
    errno::Errno,
    fcntl::{OFlag, OpenHow, ResolveFlag, openat, openat2},
    sys::stat::{Mode, mkdirat},
    unistd::{UnlinkatFlags, unlinkat},
};

use vxn_files::normalize;

use crate::{Result, error::Context};

/// Most bytes read from a file of the image.
const MAX_FILE: u64 = 4 * 1024 * 1024;

/// The root directory of the container.
#[derive(Debug)]
pub struct Rootfs {
    path: PathBuf,
    root: OwnedFd,
}

impl Rootfs {
    /// Opens the root directory at `path`.
    pub fn open(path: &Path) -> Result<Self> {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let root = nix::fcntl::open(path, flags, Mode::empty())
            .context(format_args!("open {}", path.display()))?;
        Ok(Self { path: path.to_owned(), root })
    }

    /// Where the root is mounted.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the beginning of a file; nothing when there is no such file.
    pub fn read(&self, path: &str) -> Result<Vec<u8>> {
        let what = format_args!("read {path} of the image").to_string();
        let file = match self.resolve(Path::new(path), OFlag::O_RDONLY | OFlag::O_NONBLOCK) {
            Err(Errno::ENOENT | Errno::ENOTDIR) => return Ok(Vec::new()),
            file => File::from(file.context(&what)?),
        };
        let mut contents = Vec::new();
        file.take(MAX_FILE).read_to_end(&mut contents).context(&what)?;
        Ok(contents)
    }

    /// Creates a directory and its parents where they are missing, as root and
    /// mode 0755.
    pub fn create_dir_all(&self, path: &Path) -> Result<OwnedFd> {
        let mut so_far = PathBuf::from("/");
        let mut dir = self.directory(&so_far).context("open the root directory")?;
        for name in normalize(path).components().skip(1) {
            so_far.push(name);
            let what = format_args!("create {}", so_far.display()).to_string();
            dir = match self.directory(&so_far) {
                Err(Errno::ENOENT) => {
                    mkdirat(&dir, name.as_os_str(), Mode::from_bits_truncate(0o755))
                        .context(&what)?;
                    self.directory(&so_far)
                }
                opened => opened,
            }
            .context(&what)?;
        }
        Ok(dir)
    }

    /// Creates an empty file, as root and mode 0644, where there is nothing yet.
    pub fn create_file(&self, path: &Path) -> Result<()> {
        let path = normalize(path);
        let (Some(dir), Some(name)) = (path.parent(), path.file_name()) else { return Ok(()) };
        let dir = self.create_dir_all(dir)?;
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_CLOEXEC;
        match openat(&dir, name, flags, Mode::from_bits_truncate(0o644)) {
            Ok(_) | Err(Errno::EEXIST) => Ok(()),
            Err(error) => Err(error).context(format_args!("create {}", path.display())),
        }
    }

    /// Puts a file of ours in place of whatever the image has there.
    pub fn replace(&self, dir: &str, name: &str, contents: &str) -> Result<()> {
        let what = format_args!("write {dir}/{name}").to_string();
        let dir = self.create_dir_all(Path::new(dir))?;
        match unlinkat(&dir, name, UnlinkatFlags::NoRemoveDir) {
            Ok(()) | Err(Errno::ENOENT) => {}
            Err(error) => return Err(error).context(what),
        }
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_CLOEXEC;
        let file = openat(&dir, name, flags, Mode::from_bits_truncate(0o644));
        let written = file
            .map_err(io::Error::from)
            .and_then(|file| File::from(file).write_all(contents.as_bytes()));
        written.context(what)
    }

    /// The directory at `path`.
    pub fn directory(&self, path: &Path) -> nix::Result<OwnedFd> {
        self.resolve(path, OFlag::O_PATH | OFlag::O_DIRECTORY)
    }

    fn resolve(&self, path: &Path, flags: OFlag) -> nix::Result<OwnedFd> {
        let how = OpenHow::new()
            .flags(flags | OFlag::O_CLOEXEC)
            .resolve(ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS);
        openat2(self.root.as_fd(), path, how)
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use super::*;

    #[test]
    fn links_of_the_image_do_not_lead_out() {
        let outside = tempfile::tempdir().unwrap();
        let dir = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("passwd"), "outside").unwrap();
        symlink(outside.path(), dir.path().join("etc")).unwrap();
        symlink("/inside", dir.path().join("link")).unwrap();
        fs::create_dir(dir.path().join("inside")).unwrap();
        let root = Rootfs::open(dir.path()).unwrap();

        assert_eq!(root.read("/etc/passwd").unwrap(), b"");
        root.create_dir_all(Path::new("/link/a/b")).unwrap();
        assert!(dir.path().join("inside/a/b").is_dir());
        assert!(root.create_dir_all(Path::new("/etc/x")).is_err());
        assert!(!outside.path().join("x").exists());
    }

    #[test]
    fn our_files_replace_links_of_the_image() {
        let dir = tempfile::tempdir().unwrap();
        let root = Rootfs::open(dir.path()).unwrap();
        root.replace("/etc", "hosts", "one").unwrap();
        fs::remove_file(dir.path().join("etc/hosts")).unwrap();
        fs::write(dir.path().join("target"), "keep").unwrap();
        symlink("/target", dir.path().join("etc/hosts")).unwrap();
        root.replace("/etc", "hosts", "two").unwrap();
        assert_eq!(root.read("/etc/hosts").unwrap(), b"two");
        assert_eq!(root.read("/target").unwrap(), b"keep");
    }
}
