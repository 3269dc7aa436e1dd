//! From a tar stream to a tree below one directory.

mod room;

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, ResolveFlags, linkat, makedev, mkdirat, mknodat, openat,
    symlinkat,
};
use rustix::io::Errno;
use tar::{Archive, EntryType};

use self::room::Room;
use crate::attributes::Attributes;
use crate::error::{Context, Error, Result, entry as refuse};
use crate::place::{Found, Place, Refusal, place};
use crate::read::{Member, next};
use crate::root::{Root, base, named_directory, open_below};

/// How to unpack.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// User and group that everything belongs to; without it, as the archive says.
    pub owner: Option<(u32, u32)>,
    /// Device nodes may be made.
    pub devices: bool,
    /// Most bytes of all files together.
    pub bytes: u64,
    /// Most entries.
    pub entries: u64,
}

/// Unpacks what [`crate::pack`] has packed to `path` of a root, by docker's rules for
/// where it goes.
///
/// # Errors
/// [`Refusal`]; an entry that leads elsewhere, or is of a kind that is not unpacked; the
/// kernel's; the stream's. What came before it is there then.
pub fn unpack_tree(
    root: &Root,
    path: &Path,
    options: &Options,
    archive: &mut dyn Read,
) -> Result<()> {
    let mut archive = Archive::new(archive);
    let mut entries = archive.entries()?.raw(true);
    let Some((first, contents)) = next(&mut entries)? else {
        return Err(refuse(b"", "there is nothing in it"));
    };
    let source = relative(&first.name)?;
    let whole = source.as_os_str().is_empty();
    let directory = first.kind == EntryType::Directory;
    let resolved = root.resolve(path, true)?;
    let found = root.found(&resolved)?;
    let (dir, to) = match place(directory, whole, found, named_directory(path))? {
        Place::Contents => (resolved, PathBuf::new()),
        Place::Inside => (resolved, source.clone()),
        Place::As => {
            let parent = resolved.parent().unwrap_or(Path::new("/")).to_owned();
            if root.found(&parent)? != Found::Directory {
                return Err(Error::NotFound(parent.display().to_string()));
            }
            (parent, PathBuf::from(base(&resolved)))
        }
    };
    let dir = root.open_resolved(&dir, OFlags::PATH | OFlags::DIRECTORY);
    let dir = dir.context(format_args!("open {}", path.display()))?;
    let mut unpacker = Unpacker::new(dir, *options, source, to);
    unpacker.add(first, contents)?;
    while let Some((member, contents)) = next(&mut entries)? {
        unpacker.add(member, contents)?;
    }
    unpacker.finish()
}

/// Unpacks any archive into the directory at `path` of a root.
///
/// # Errors
/// As [`unpack_tree`].
pub fn unpack_all(
    root: &Root,
    path: &Path,
    options: &Options,
    archive: &mut dyn Read,
) -> Result<()> {
    let resolved = root.resolve(path, true)?;
    match root.found(&resolved)? {
        Found::Directory => {}
        Found::File => return Err(Refusal::NotADirectory.into()),
        Found::Nothing => return Err(Error::NotFound(path.display().to_string())),
    }
    let dir = root.open_resolved(&resolved, OFlags::PATH | OFlags::DIRECTORY);
    let dir = dir.context(format_args!("open {}", path.display()))?;
    let unpacker = Unpacker::new(dir, *options, PathBuf::new(), PathBuf::new());
    unpacker.all(archive).map(drop)
}

/// Applies the layer of an OCI image, as [`crate::overlay::pack_layer`] writes it, to a
/// root: what it marks as removed is removed, and what it has takes the place of what is
/// there, whatever that is. Returns how many entries it had.
///
/// # Errors
/// As [`unpack_all`].
pub fn unpack_layer(root: &Root, options: &Options, archive: &mut dyn Read) -> Result<u64> {
    let dir = root.open_resolved(Path::new("/"), OFlags::PATH | OFlags::DIRECTORY);
    let dir = dir.context("open the root directory")?;
    let mut unpacker = Unpacker::new(dir, *options, PathBuf::new(), PathBuf::new());
    unpacker.layer = true;
    unpacker.all(archive)
}

/// The path of an entry below the archive's root.
fn relative(name: &[u8]) -> Result<PathBuf> {
    let mut path = PathBuf::new();
    for component in Path::new(OsStr::from_bytes(name)).components() {
        match component {
            Component::Normal(part) => path.push(part),
            Component::ParentDir => return Err(refuse(name, "it leads out of the archive")),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    Ok(path)
}

struct Unpacker {
    dir: OwnedFd,
    options: Options,
    /// What is below this in the archive …
    from: PathBuf,
    /// … goes below this in the directory.
    to: PathBuf,
    /// The directories above the last entry, whose attributes wait for what is in them.
    open: Vec<(PathBuf, Attributes)>,
    /// It is a layer: names are marks of what is removed, and what is there is replaced.
    layer: bool,
}

impl Unpacker {
    fn new(dir: OwnedFd, options: Options, from: PathBuf, to: PathBuf) -> Unpacker {
        Unpacker { dir, options, from, to, open: Vec::new(), layer: false }
    }

    /// Unpacks a whole archive. Returns how many entries it had.
    fn all(mut self, archive: &mut dyn Read) -> Result<u64> {
        let mut archive = Archive::new(archive);
        let mut entries = archive.entries()?.raw(true);
        let mut count = 0;
        while let Some((member, contents)) = next(&mut entries)? {
            self.add(member, contents)?;
            count += 1;
        }
        self.finish().map(|()| count)
    }

    /// Where a path of the archive goes.
    fn target(&self, name: &[u8]) -> Result<PathBuf> {
        let path = relative(name)?;
        match path.strip_prefix(&self.from) {
            Ok(rest) if rest.as_os_str().is_empty() => Ok(self.to.clone()),
            Ok(rest) => Ok(self.to.join(rest)),
            Err(_) => Err(refuse(name, "it is not below the first entry")),
        }
    }

    fn add(&mut self, mut member: Member, contents: impl Read) -> Result<()> {
        let path = self.target(&member.name)?;
        self.options.entries = take(&member, self.options.entries, 1)?;
        if let Some((uid, gid)) = self.options.owner {
            (member.attributes.uid, member.attributes.gid) = (uid, gid);
        }
        self.leave(&path)?;
        let Some(name) = path.file_name() else {
            // The directory itself was there before.
            return Ok(());
        };
        let parent = self.parent(path.parent().unwrap_or(Path::new("")))?;
        let room = Room { dir: &parent, replace: self.layer };
        if self.layer {
            if let Some(gone) = room::removed(&member.name, name)? {
                return room.remove(gone).context(format_args!("remove {}", path.display()));
            }
        }
        let directory = member.kind == EntryType::Directory;
        let there = room.clear(name, directory).map_err(|clash| clash.blame(&member))?;
        if directory {
            if !there {
                mkdirat(&parent, name, Mode::RWXU).context(made(&path))?;
            }
            self.open.push((path, member.attributes));
            return Ok(());
        }
        self.make(&parent, name, &path, &member, contents)
    }

    /// Makes what is no directory.
    fn make(
        &mut self,
        dir: &OwnedFd,
        name: &OsStr,
        path: &Path,
        member: &Member,
        contents: impl Read,
    ) -> Result<()> {
        let mode = Mode::RUSR | Mode::WUSR;
        match member.kind {
            EntryType::Regular | EntryType::Continuous => {
                let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
                let file = openat(dir, name, flags, mode).context(made(path))?;
                let mut file = File::from(file);
                self.copy(member, contents, &mut file)?;
                member.attributes.give(file.as_fd()).context(attributes(path))
            }
            EntryType::Symlink => {
                symlinkat(OsStr::from_bytes(&member.target), dir, name).context(made(path))?;
                member.attributes.give_link(dir.as_fd(), name).context(attributes(path))
            }
            EntryType::Link => {
                let target = self.target(&member.target)?;
                let from = target.parent().unwrap_or(Path::new(""));
                let there = self.parent(from)?;
                let first = target.file_name().unwrap_or_default();
                linkat(&there, first, dir, name, AtFlags::empty()).context(made(path))
            }
            EntryType::Fifo => self.node(dir, name, path, FileType::Fifo, member),
            EntryType::Char | EntryType::Block if !self.options.devices => {
                Err(refuse(&member.name, "it is a device, which is not made here"))
            }
            EntryType::Char => self.node(dir, name, path, FileType::CharacterDevice, member),
            EntryType::Block => self.node(dir, name, path, FileType::BlockDevice, member),
            _ => Err(refuse(&member.name, "it is of a kind that is not unpacked")),
        }
    }

    fn copy(&mut self, member: &Member, contents: impl Read, file: &mut File) -> Result<()> {
        self.options.bytes = take(member, self.options.bytes, member.size)?;
        if io::copy(&mut contents.take(member.size), file)? < member.size {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        Ok(())
    }

    fn node(
        &self,
        dir: &OwnedFd,
        name: &OsStr,
        path: &Path,
        kind: FileType,
        member: &Member,
    ) -> Result<()> {
        let device = makedev(member.device.0, member.device.1);
        mknodat(dir, name, kind, Mode::RUSR | Mode::WUSR, device).context(made(path))?;
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = openat(dir, name, flags, Mode::empty()).context(made(path))?;
        member.attributes.give(fd.as_fd()).context(attributes(path))
    }

    /// The directory at `path`, made with those above it where they are missing.
    fn parent(&self, path: &Path) -> Result<OwnedFd> {
        match self.open_dir(path) {
            Err(Errno::NOENT) => {}
            opened => return opened.context(format_args!("open {}", path.display())),
        }
        let above = self.parent(path.parent().unwrap_or(Path::new("")))?;
        let name = path.file_name().unwrap_or_default();
        mkdirat(&above, name, Mode::from_raw_mode(0o755)).context(made(path))?;
        self.open_dir(path).context(made(path))
    }

    fn open_dir(&self, path: &Path) -> rustix::io::Result<OwnedFd> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW;
        open_below(&self.dir, path, flags, ResolveFlags::BENEATH)
    }

    /// Gives those directories their attributes that `path` is not below.
    fn leave(&mut self, path: &Path) -> Result<()> {
        let below = |dir: &Path| path != dir && path.starts_with(dir);
        while self.open.last().is_some_and(|(dir, _)| !below(dir)) {
            let Some((dir, attributes)) = self.open.pop() else { break };
            let fd = self.open_dir(&dir).context(self::attributes(&dir))?;
            attributes.give(fd.as_fd()).context(self::attributes(&dir))?;
        }
        Ok(())
    }

    fn finish(mut self) -> Result<()> {
        self.leave(Path::new("/"))
    }
}

/// What is left of a bound.
fn take(member: &Member, left: u64, taken: u64) -> Result<u64> {
    let why = "there is more than may be unpacked";
    left.checked_sub(taken).ok_or_else(|| refuse(&member.name, why))
}

/// What was tried, for an error.
fn made(path: &Path) -> String {
    format!("make {}", path.display())
}

/// The same.
fn attributes(path: &Path) -> String {
    format!("set owner, mode and time of {}", path.display())
}

#[cfg(test)]
mod tests;
