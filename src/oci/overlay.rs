//! Which root file systems are the same as another one's: containers of one image have
//! overlays over the same lower directories, and nothing in their upper ones but the few
//! things that an engine puts there for each.
//!
//! Stores keep a layer's directory as it is from its first use to its removal
//! (containers-storage, containerd's snapshots, docker's overlay2): it is named by its path,
//! and told from one that took its place by its inode and the times of its birth and last
//! change. One that holds little is told by what is in it instead, as an upper one is: docker
//! puts a lower directory of its own below each container. An upper one has to hold little.
//! Whatever is not understood has no name, and is not shared.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use rustix::buffer::spare_capacity;
use rustix::fs::{lgetxattr, llistxattr};

use crate::image::Digest;

/// Raised whenever the same directories would give another disk.
const VERSION: u32 = 2;

/// Most files and directories of a directory that is looked at.
const MAX_ENTRIES: usize = 32;

/// Most bytes of all its files.
const MAX_BYTES: u64 = 64 * 1024;

/// Most bytes of one extended attribute and of all their names, as Linux has it.
const MAX_XATTR: usize = 64 * 1024;

/// The name of what is in the root file system `rootfs`: the same name is the same content.
/// `None` when it cannot be told.
///
/// # Errors
/// The system's.
pub fn name(rootfs: &Path) -> io::Result<Option<Digest>> {
    let mounts = fs::read("/proc/self/mountinfo")?;
    match Overlay::at(rootfs, &mounts) {
        Some(overlay) => overlay.name(),
        None => Ok(None),
    }
}

/// An overlay as it is mounted.
#[derive(Debug, PartialEq, Eq)]
struct Overlay {
    lower: Vec<PathBuf>,
    upper: Option<PathBuf>,
    /// Options that say how the two are seen as one.
    others: Vec<String>,
}

impl Overlay {
    /// The overlay that is mounted at `rootfs`, by the words of `/proc/self/mountinfo`
    /// (proc_pid_mountinfo(5)).
    fn at(rootfs: &Path, mounts: &[u8]) -> Option<Overlay> {
        let lines = mounts.split(|byte| *byte == b'\n');
        let fields = |line: &[u8]| line.split(|byte| *byte == b' ').map(unescape).collect();
        let found: Vec<Vec<u8>> = lines
            .map(|line| -> Vec<Vec<u8>> { fields(line) })
            // The last one is on top.
            .rfind(|fields| fields.get(4).is_some_and(|at| at == rootfs.as_os_str().as_bytes()))?;
        let rest = found.iter().position(|field| field == b"-")?;
        let [kind, _, options] = found.get(rest + 1..rest + 4)? else { return None };
        let whole = found.get(3).is_some_and(|root| root == b"/");
        if !whole || kind != b"overlay" {
            return None;
        }
        Overlay::of(std::str::from_utf8(options).ok()?)
    }

    fn of(options: &str) -> Option<Overlay> {
        let mut overlay = Overlay { lower: Vec::new(), upper: None, others: Vec::new() };
        // A name with one of these in it is escaped.
        if options.contains('\\') {
            return None;
        }
        for option in options.split(',') {
            let (key, value) = option.split_once('=').unwrap_or((option, ""));
            match key {
                // Data of files that are elsewhere.
                "datadir+" => return None,
                "lowerdir" if value.contains("::") => return None,
                "lowerdir" => overlay.lower.extend(value.split(':').map(PathBuf::from)),
                "lowerdir+" => overlay.lower.push(value.into()),
                "upperdir" => overlay.upper = Some(value.into()),
                "workdir" => {}
                _ => overlay.others.push(option.to_owned()),
            }
        }
        let absolute = overlay.lower.iter().chain(&overlay.upper).all(|path| path.is_absolute());
        (absolute && !overlay.lower.is_empty()).then_some(overlay)
    }

    fn name(&self) -> io::Result<Option<Digest>> {
        let mut recipe = format!("vxn overlay root {VERSION}\n{}\n", self.others.join(","));
        for dir in &self.lower {
            let Some(part) = lower(dir)? else { return Ok(None) };
            recipe.push_str(&part);
        }
        if let Some(upper) = &self.upper {
            let Some(part) = content(upper)? else { return Ok(None) };
            recipe.push_str(&part);
        }
        Ok(Some(Digest::of(recipe.as_bytes())))
    }
}

/// A lower directory, by what is in it if that is little, or as the one that it is.
fn lower(dir: &Path) -> io::Result<Option<String>> {
    // An engine may mount by short names that are links.
    let dir = dir.canonicalize()?;
    if let Some(content) = content(&dir)? {
        return Ok(Some(content));
    }
    let identity = identity(&fs::metadata(&dir)?);
    Ok(identity.map(|identity| format!("{dir:?} {identity}\n")))
}

/// All that is in a directory, and how it is itself.
fn content(dir: &Path) -> io::Result<Option<String>> {
    let mut tree = Tree { root: dir, found: BTreeMap::new(), bytes: 0 };
    if !tree.entry(Path::new(""))? {
        return Ok(None);
    }
    let lines = tree.found.into_iter().map(|(path, what)| format!("{path:?} {what}\n"));
    Ok(Some(lines.collect()))
}

/// What tells a directory from another one that has its path later. A file system without
/// birth times does not tell.
fn identity(meta: &Metadata) -> Option<String> {
    let born = meta.created().ok()?.duration_since(UNIX_EPOCH).ok()?.as_nanos();
    Some(format!("{} {born} {}.{}", meta.ino(), meta.ctime(), meta.ctime_nsec()))
}

/// A field, whose blanks and backslashes are octal numbers.
fn unescape(field: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&byte, after)) = rest.split_first() {
        let octal = after
            .get(..3)
            .filter(|_| byte == b'\\')
            .and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok());
        match octal {
            Some(number) => {
                bytes.push(number);
                rest = &after[3..];
            }
            None => {
                bytes.push(byte);
                rest = after;
            }
        }
    }
    bytes
}

/// What is in a directory, with all of it.
struct Tree<'a> {
    root: &'a Path,
    found: BTreeMap<PathBuf, String>,
    bytes: u64,
}

impl Tree<'_> {
    /// Looks through a directory. Returns false when it holds too much, or what is not
    /// understood.
    fn directory(&mut self, dir: &Path) -> io::Result<bool> {
        for entry in fs::read_dir(self.root.join(dir))? {
            let path = dir.join(entry?.file_name());
            if self.found.len() > MAX_ENTRIES || !self.entry(&path)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn entry(&mut self, path: &Path) -> io::Result<bool> {
        let real = self.root.join(path);
        let meta = fs::symlink_metadata(&real)?;
        let Some(attributes) = attributes(&real)? else { return Ok(false) };
        let content = match meta.file_type() {
            kind if kind.is_symlink() => format!("{:?}", fs::read_link(&real)?),
            kind if kind.is_file() => {
                self.bytes = self.bytes.saturating_add(meta.len());
                // Several names of one file are too rare to be told.
                if self.bytes > MAX_BYTES || meta.nlink() > 1 {
                    return Ok(false);
                }
                let mut bytes = Vec::new();
                File::open(&real)?.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
                Digest::of(&bytes).to_string()
            }
            _ => String::new(),
        };
        let (mode, uid, gid, device) = (meta.mode(), meta.uid(), meta.gid(), meta.rdev());
        let what = format!("{mode:o} {uid} {gid} {device} {attributes} {content}");
        self.found.insert(path.to_owned(), what);
        if meta.is_dir() { self.directory(path) } else { Ok(true) }
    }
}

/// The extended attributes that matter. `None` when the overlay's own say that what is seen
/// is elsewhere.
fn attributes(path: &Path) -> io::Result<Option<String>> {
    let mut names: Vec<u8> = Vec::with_capacity(MAX_XATTR);
    llistxattr(path, spare_capacity(&mut names))?;
    let mut found = BTreeMap::new();
    for name in names.split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        match name.rsplit(|byte| *byte == b'.').next().unwrap_or_default() {
            _ if !is_overlays(name) => {}
            b"redirect" | b"metacopy" => return Ok(None),
            // A directory that hides what is below it.
            b"opaque" => {}
            // Where it was copied from, for the kernel's own use.
            _ => continue,
        }
        let mut value: Vec<u8> = Vec::with_capacity(MAX_XATTR);
        lgetxattr(path, OsString::from_vec(name.to_vec()), spare_capacity(&mut value))?;
        found.insert(String::from_utf8_lossy(name).into_owned(), Digest::of(&value).to_string());
    }
    Ok(Some(format!("{found:?}")))
}

fn is_overlays(name: &[u8]) -> bool {
    name.starts_with(b"trusted.overlay.") || name.starts_with(b"user.overlay.")
}

#[cfg(test)]
mod tests;
