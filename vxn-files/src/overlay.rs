//! What an overlay's upper directory changes of its lower one (overlayfs of Linux,
//! "whiteouts and opaque directories"), and the same as a layer of an OCI image.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{self, Metadata};
use std::io::{self, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fs::lgetxattr;

use crate::error::{Error, Result};
use crate::pack::Packer;
use crate::root::Root;

/// How a path differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// It is new.
    Added,
    /// It has other contents or attributes, or something below it differs.
    Changed,
    /// It is gone.
    Deleted,
}

/// A path that differs; absolute.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Change {
    /// The path.
    pub path: PathBuf,
    /// How.
    pub kind: Kind,
}

/// What differs, in the order of the paths, but for what is at the paths `apart`.
///
/// # Errors
/// The kernel's.
pub fn changes(lower: &Path, upper: &Path, apart: &[&str]) -> Result<Vec<Change>> {
    let mut walk = Walk { lower, upper, apart, found: Vec::new() };
    walk.directory(Path::new(""), true, false).map_err(|source| Error::System {
        what: "compare the container with its image".to_owned(),
        source,
    })?;
    walk.found.sort();
    Ok(walk.found)
}

/// Packs those changes as a layer.
///
/// # Errors
/// The kernel's; the stream's.
pub fn pack_layer(upper: &Root, changes: &[Change], out: &mut dyn Write) -> Result<()> {
    let mut packer = Packer::new(out);
    for Change { path, kind } in changes {
        if *kind != Kind::Deleted {
            packer.one(upper, path)?;
            continue;
        }
        let mut mark = OsString::from(".wh.");
        mark.push(path.file_name().unwrap_or_default());
        let path = path.strip_prefix("/").unwrap_or(path);
        packer.empty(&path.with_file_name(mark))?;
    }
    packer.finish()
}

struct Walk<'a> {
    lower: &'a Path,
    upper: &'a Path,
    apart: &'a [&'a str],
    found: Vec<Change>,
}

impl Walk<'_> {
    /// Looks through a directory of the upper tree. `both`: the lower tree has it too;
    /// `hidden`: what is in that one shows no more. Returns whether anything differs.
    fn directory(&mut self, dir: &Path, both: bool, hidden: bool) -> io::Result<bool> {
        let before = self.found.len();
        let hidden = hidden || is_opaque(&self.upper.join(dir));
        let own = names(&self.upper.join(dir))?;
        for name in &own {
            self.entry(&dir.join(name), both, hidden)?;
        }
        if both && hidden {
            for name in names(&self.lower.join(dir))?.difference(&own) {
                self.note(&dir.join(name), Kind::Deleted);
            }
        }
        Ok(self.found.len() > before)
    }

    fn entry(&mut self, path: &Path, both: bool, hidden: bool) -> io::Result<()> {
        let Some(meta) = look(&self.upper.join(path))? else { return Ok(()) };
        let below = if both { look(&self.lower.join(path))? } else { None };
        let kind = if below.is_some() { Kind::Changed } else { Kind::Added };
        if meta.file_type().is_char_device() && meta.rdev() == 0 {
            if below.is_some() {
                self.note(path, Kind::Deleted);
            }
            return Ok(());
        }
        if !meta.is_dir() {
            self.note(path, kind);
            return Ok(());
        }
        let below = below.filter(Metadata::is_dir);
        let inside = self.directory(path, below.is_some(), hidden)?;
        if inside || !below.is_some_and(|below| self.same(path, &meta, &below)) {
            self.note(path, kind);
        }
        Ok(())
    }

    /// Whether a directory has the attributes that it had. The time of one that holds
    /// something apart has changed with that.
    fn same(&self, path: &Path, meta: &Metadata, below: &Metadata) -> bool {
        let holds = self.apart.iter().any(|apart| Path::new(apart).parent() == Some(path));
        let attributes = |meta: &Metadata| (meta.mode(), meta.uid(), meta.gid());
        attributes(meta) == attributes(below) && (holds || meta.mtime() == below.mtime())
    }

    fn note(&mut self, path: &Path, kind: Kind) {
        if !self.apart.iter().any(|apart| path == Path::new(apart)) {
            self.found.push(Change { path: Path::new("/").join(path), kind });
        }
    }
}

fn look(path: &Path) -> io::Result<Option<Metadata>> {
    match fs::symlink_metadata(path) {
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Ok(None)
        }
        meta => meta.map(Some),
    }
}

fn names(dir: &Path) -> io::Result<BTreeSet<OsString>> {
    fs::read_dir(dir)?.map(|entry| Ok(entry?.file_name())).collect()
}

fn is_opaque(dir: &Path) -> bool {
    let mut value = [0; 1];
    let length = lgetxattr(dir, "trusted.overlay.opaque", &mut value);
    length.is_ok_and(|length| length == 1) && value == *b"y"
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use rustix::fs::{CWD, FileType, Mode, XattrFlags, mknodat, setxattr};

    use super::*;

    fn whiteout(path: &Path) -> bool {
        mknodat(CWD, path, FileType::CharacterDevice, Mode::empty(), 0).is_ok()
    }

    /// An image, and what was done to it; none where that takes rights that are missing.
    fn trees(dir: &Path) -> Option<[PathBuf; 2]> {
        let [lower, upper] = ["lower", "upper"].map(|name| dir.join(name));
        for name in ["etc", "bin", "old/deep"] {
            fs::create_dir_all(lower.join(name)).unwrap();
        }
        for name in ["etc", "new", "old"] {
            fs::create_dir_all(upper.join(name)).unwrap();
        }
        for name in ["etc/passwd", "etc/motd", "old/f", "old/deep/g"] {
            fs::write(lower.join(name), "old").unwrap();
        }
        for name in ["etc/passwd", "etc/hosts", "new/file", "old/f"] {
            fs::write(upper.join(name), "new").unwrap();
        }
        symlink("/nowhere", upper.join("link")).unwrap();
        let opaque =
            setxattr(upper.join("old"), "trusted.overlay.opaque", b"y", XattrFlags::empty());
        (whiteout(&upper.join("etc/motd")) && opaque.is_ok()).then_some([lower, upper])
    }

    #[test]
    fn changes_are_dockers_and_so_is_the_layer() {
        let dir = tempfile::tempdir().unwrap();
        let Some([lower, upper]) = trees(dir.path()) else {
            eprintln!("SKIPPED: whiteouts and opaque directories need root");
            return;
        };
        let found = changes(&lower, &upper, &["etc/hosts"]).unwrap();
        let line = |change: &Change| format!("{:?} {}", change.kind, change.path.display());
        let expected = "Changed /etc, Deleted /etc/motd, Changed /etc/passwd, Added /link, \
                        Added /new, Added /new/file, Changed /old, Deleted /old/deep, \
                        Changed /old/f";
        assert_eq!(found.iter().map(line).collect::<Vec<_>>().join(", "), expected);
        let mut layer = Vec::new();
        pack_layer(&Root::open(&upper).unwrap(), &found, &mut layer).unwrap();
        let mut archive = tar::Archive::new(&*layer);
        let name = |entry: io::Result<tar::Entry<'_, _>>| {
            String::from_utf8(entry.unwrap().path_bytes().into_owned()).unwrap()
        };
        let names: Vec<String> = archive.entries().unwrap().map(name).collect();
        let expected = "etc/ etc/.wh.motd etc/passwd link new/ new/file old/ old/.wh.deep old/f";
        assert_eq!(names.join(" "), expected);
    }

    #[test]
    fn what_was_only_set_up_is_no_change() {
        let dir = tempfile::tempdir().unwrap();
        let [lower, upper] = ["lower", "upper"].map(|name| dir.path().join(name));
        for dir in [lower.join("etc"), upper.join("etc"), upper.join("proc")] {
            fs::create_dir_all(dir).unwrap();
        }
        fs::write(upper.join("etc/hosts"), "x").unwrap();
        assert_eq!(changes(&lower, &upper, &["etc/hosts", "proc"]).unwrap(), []);
    }
}
