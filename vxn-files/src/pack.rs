//! From a tree to a tar stream.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Dir, FileType, Mode, OFlags, Stat, fstat, major, minor, openat, readlinkat};
use rustix::io::Errno;
use tar::{Builder, EntryType, Header};

use crate::attributes::{Attributes, path_of};
use crate::error::{Context, Error, Result};
use crate::root::{Root, base, named_directory, names_contents, normalize};

/// Packs what is at `path` of a root, as docker does: under its own name, or under `.`
/// when the path ends with `/.`. With `follow`, of a link where it leads.
///
/// # Errors
/// [`Error::NotFound`]; the kernel's; the stream's.
pub fn pack(root: &Root, path: &Path, follow: bool, out: &mut dyn Write) -> Result<()> {
    let resolved = root.resolve(path, follow || named_directory(path))?;
    let fd = match root.open_resolved(&resolved, OFlags::PATH | OFlags::NOFOLLOW) {
        Err(Errno::NOENT | Errno::NOTDIR) => {
            return Err(Error::NotFound(path.display().to_string()));
        }
        opened => opened.context(format_args!("open {}", path.display()))?,
    };
    let stat = fstat(&fd).context(format_args!("look at {}", path.display()))?;
    let directory = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
    if named_directory(path) && !directory {
        return Err(crate::place::Refusal::NotADirectory.into());
    }
    let clean = normalize(path);
    let name = if directory && names_contents(path) { OsStr::new(".") } else { base(&clean) };
    let mut packer = Packer::new(out);
    packer.tree(fd, Path::new(name))?;
    packer.finish()
}

/// Writes a tar stream.
pub struct Packer<'a> {
    tar: Builder<&'a mut dyn Write>,
    /// The first name of each file that has several.
    links: HashMap<(u64, u64), PathBuf>,
    /// Names that are packed without what is in them.
    hollow: Vec<PathBuf>,
}

impl fmt::Debug for Packer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Packer").field("links", &self.links.len()).finish_non_exhaustive()
    }
}

impl<'a> Packer<'a> {
    /// An archive without entries.
    pub fn new(out: &'a mut dyn Write) -> Packer<'a> {
        Packer { tar: Builder::new(out), links: HashMap::new(), hollow: Vec::new() }
    }

    /// Packs the file or directory of this name, when it comes, without what is in it.
    pub fn hollow(&mut self, name: impl Into<PathBuf>) {
        self.hollow.push(name.into());
    }

    /// Packs what is below a directory of a root, without the directory.
    ///
    /// # Errors
    /// The kernel's; the stream's.
    pub fn below(&mut self, root: &Root) -> Result<()> {
        let fd = root.open_resolved(Path::new("/"), OFlags::PATH);
        self.children(fd.context("open the root directory")?, Path::new(""))
    }

    /// Packs one file or directory of a root, named by its absolute path without
    /// links, and nothing below it.
    ///
    /// # Errors
    /// The kernel's; the stream's.
    pub fn one(&mut self, root: &Root, path: &Path) -> Result<()> {
        let fd = root.open_resolved(path, OFlags::PATH | OFlags::NOFOLLOW);
        let name = path.strip_prefix("/").unwrap_or(path);
        self.node(&fd.context(format_args!("open {}", path.display()))?, name).map(drop)
    }

    /// Packs an empty file, as OCI marks what a layer has removed.
    ///
    /// # Errors
    /// The stream's.
    pub fn empty(&mut self, name: &Path) -> Result<()> {
        let mut header = Header::new_gnu();
        header.set_entry_type(EntryType::Regular);
        header.set_size(0);
        header.set_mode(0o600);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        Ok(self.tar.append_data(&mut header, name, io::empty())?)
    }

    /// Ends the archive.
    ///
    /// # Errors
    /// The stream's.
    pub fn finish(mut self) -> Result<()> {
        self.tar.finish()?;
        Ok(self.tar.get_mut().flush()?)
    }

    /// Packs what an open path is, and all below it.
    fn tree(&mut self, fd: OwnedFd, name: &Path) -> Result<()> {
        let directory = self.node(&fd, name)?;
        let hollow = self.hollow.iter().any(|hollow| hollow == name);
        if directory && !hollow { self.children(fd, name) } else { Ok(()) }
    }

    fn children(&mut self, dir: OwnedFd, name: &Path) -> Result<()> {
        let what = format!("read the directory {}", name.display());
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let opened = openat(&dir, ".", flags, Mode::empty()).context(&what)?;
        drop(dir);
        for child in names(&opened).context(&what)? {
            let path =
                if name == Path::new(".") { PathBuf::from(&child) } else { name.join(&child) };
            let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            match openat(&opened, &child, flags, Mode::empty()) {
                // It has been removed meanwhile.
                Err(Errno::NOENT) => {}
                fd => self.tree(fd.context(format_args!("open {}", path.display()))?, &path)?,
            }
        }
        Ok(())
    }

    /// Packs what an open path is, and nothing below it. Returns whether it is a
    /// directory. Sockets are left out, as docker does.
    fn node(&mut self, fd: &OwnedFd, name: &Path) -> Result<bool> {
        let what = format!("pack {}", name.display());
        let stat = fstat(fd).context(&what)?;
        let kind = FileType::from_raw_mode(stat.st_mode);
        let attributes =
            Attributes::of(fd.as_fd(), &stat, kind == FileType::Symlink).context(&what)?;
        let mut header = header(&attributes);
        if kind != FileType::Directory && stat.st_nlink > 1 {
            if let Some(first) = self.links.get(&(stat.st_dev, stat.st_ino)) {
                header.set_entry_type(EntryType::Link);
                self.tar.append_link(&mut header, name, first)?;
                return Ok(false);
            }
            self.links.insert((stat.st_dev, stat.st_ino), name.to_owned());
        }
        self.extended(&attributes)?;
        match kind {
            FileType::Directory => {
                header.set_entry_type(EntryType::Directory);
                let mut slashed = name.as_os_str().to_owned();
                slashed.push("/");
                self.tar.append_data(&mut header, slashed, io::empty())?;
            }
            FileType::Symlink => {
                header.set_entry_type(EntryType::Symlink);
                let target = readlinkat(fd, "", Vec::new()).context(&what)?;
                let target = OsString::from_vec(target.into_bytes());
                self.tar.append_link(&mut header, name, target)?;
            }
            FileType::RegularFile => self.file(fd, &stat, header, name)?,
            FileType::Socket | FileType::Unknown => {}
            special => self.special(special, &stat, header, name)?,
        }
        Ok(kind == FileType::Directory)
    }

    fn file(&mut self, fd: &OwnedFd, stat: &Stat, mut header: Header, name: &Path) -> Result<()> {
        let hollow = self.hollow.iter().any(|hollow| hollow == name);
        let size = if hollow { 0 } else { u64::try_from(stat.st_size).unwrap_or_default() };
        header.set_entry_type(EntryType::Regular);
        header.set_size(size);
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
        // A path that is open is opened for reading, whatever has its name now.
        let file = rustix::fs::openat(CWD, path_of(fd), flags, Mode::empty())
            .context(format_args!("read {}", name.display()))?;
        // The header has said how long it is; who writes to it meanwhile is on their own.
        let contents = File::from(file).chain(io::repeat(0)).take(size);
        Ok(self.tar.append_data(&mut header, name, contents)?)
    }

    fn special(
        &mut self,
        kind: FileType,
        stat: &Stat,
        mut header: Header,
        name: &Path,
    ) -> Result<()> {
        header.set_entry_type(match kind {
            FileType::CharacterDevice => EntryType::Char,
            FileType::BlockDevice => EntryType::Block,
            _ => EntryType::Fifo,
        });
        if kind != FileType::Fifo {
            header.set_device_major(major(stat.st_rdev))?;
            header.set_device_minor(minor(stat.st_rdev))?;
        }
        Ok(self.tar.append_data(&mut header, name, io::empty())?)
    }

    /// Extended attributes, as GNU tar and docker write them.
    fn extended(&mut self, attributes: &Attributes) -> Result<()> {
        let records: Vec<(String, &[u8])> = attributes
            .xattrs
            .iter()
            .filter_map(|(name, value)| {
                let name = std::str::from_utf8(name).ok()?;
                Some((format!("SCHILY.xattr.{name}"), value.as_slice()))
            })
            .collect();
        let records = records.iter().map(|(key, value)| (key.as_str(), *value));
        Ok(self.tar.append_pax_extensions(records)?)
    }
}

fn header(attributes: &Attributes) -> Header {
    let mut header = Header::new_gnu();
    header.set_mode(attributes.mode);
    header.set_uid(attributes.uid.into());
    header.set_gid(attributes.gid.into());
    // No tar reader takes a time before 1970 from this field.
    header.set_mtime(u64::try_from(attributes.mtime).unwrap_or_default());
    header.set_size(0);
    header
}

/// What is in a directory, in the order of the names, so that the same tree is the same
/// archive.
pub(crate) fn names(dir: &OwnedFd) -> rustix::io::Result<Vec<OsString>> {
    let mut found = Vec::new();
    for entry in Dir::read_from(dir)? {
        let name = OsStr::from_bytes(entry?.file_name().to_bytes()).to_owned();
        if name != "." && name != ".." {
            found.push(name);
        }
    }
    found.sort();
    Ok(found)
}
