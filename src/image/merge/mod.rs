//! Layers to one archive: whiteouts applied, nothing unpacked, memory bounded.
//!
//! Layers are read twice. The first pass reads names and notes which entry of
//! which layer each path of the merged tree comes from; the second copies those
//! entries into one PAX archive that needs no second look: directories first,
//! then files in the order in which they are read, hard links last. The same
//! layers always give the same bytes.
//!
//! Semantics are those of docker on overlayfs. A layer is unpacked into a tree
//! of its own, where symbolic links in a name's directories are followed within
//! that layer; then that tree is laid over the lower ones. Whiteouts hide lower
//! layers only, wherever they stand in their layer. The root's own mode and
//! owner are not taken from layers. Beyond docker, a hard link may name a file
//! of a lower layer, and a name's missing directories are made (0755, root).
//!
//! Layers come from strangers. What cannot be kept faithfully is refused with
//! the entry named: see [`Refusal`].

mod header;
mod paths;
mod pax;
mod read;
mod tree;
mod write;

#[cfg(test)]
mod tests;

use std::io::{self, Read, Write};

use self::paths::Paths;
use self::read::Archive;
use self::tree::Merger;
use self::write::Writer;
use super::Progress;

/// What an image may cost before it is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of all layers together, uncompressed.
    pub unpacked: u64,
    /// Entries of all layers together. Each costs us some 200 bytes of memory.
    pub entries: u64,
    /// Bytes of names, link targets and directories' extended attributes of
    /// all layers together: all that is kept in memory.
    pub names: u64,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { unpacked: 64 << 30, entries: 2_000_000, names: 256 << 20 }
    }
}

/// Layers of an image as plain tar archives, lowest first.
pub trait Layers {
    /// How many there are.
    fn count(&self) -> usize;

    /// Opens layer `index` at its start. Called twice for each layer, and both
    /// times it must give the same bytes.
    fn open(&self, index: usize) -> io::Result<Box<dyn Read + '_>>;
}

/// Layers in memory.
impl<T: AsRef<[u8]>> Layers for [T] {
    fn count(&self) -> usize {
        self.len()
    }

    fn open(&self, index: usize) -> io::Result<Box<dyn Read + '_>> {
        Ok(Box::new(self[index].as_ref()))
    }
}

/// Why there is no merged archive.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A layer is refused.
    #[error("layer {layer}: {why}")]
    Layer {
        /// Its index.
        layer: usize,
        /// The name of the entry to blame, as the archive spells it.
        entry: Option<Vec<u8>>,
        /// The rule it breaks.
        why: Refusal,
    },
    /// The output took no more.
    #[error("cannot write the merged layers: {0}")]
    Write(io::Error),
}

/// Why a layer is refused.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// It could not be read, decompressed or verified.
    #[error("{0}")]
    Unreadable(#[from] io::Error),
    /// The archive ends in the middle of an entry.
    #[error("the archive is truncated")]
    Truncated,
    /// Not tar, or damaged.
    #[error("no valid tar header: {0}")]
    Header(&'static str),
    /// A malformed extended header.
    #[error("malformed PAX header")]
    Pax,
    /// A long name or extended header over 1 MiB.
    #[error("an extended header is too large")]
    HeaderTooLarge,
    /// A kind of entry that has no meaning here.
    #[error("unknown type of entry {:?}", char::from(*.0))]
    UnknownType(u8),
    /// Sparse files: few tools agree on how to read them.
    #[error("sparse files are not supported: make the archive without --sparse")]
    Sparse,
    /// `..` in a name.
    #[error("the name leads out of the root")]
    Escapes,
    /// A NUL byte in a name or target.
    #[error("a name contains NUL")]
    Nul,
    /// A component over 255 bytes.
    #[error("a component of the name is longer than 255 bytes")]
    NameTooLong,
    /// A path or target over 4095 bytes, or 512 directories deep.
    #[error("the path is too long or too deep")]
    PathTooLong,
    /// The root can only be a directory.
    #[error("the root is not a directory")]
    RootNotDirectory,
    /// A component of the name is a file.
    #[error("a file stands where the name needs a directory")]
    ParentNotDirectory,
    /// More than 40 symbolic links in one name.
    #[error("too many symbolic links in the name")]
    Loop,
    /// A whiteout of nothing, of `.` or of `..`, or something inside a whiteout.
    #[error("malformed whiteout")]
    Whiteout,
    /// A hard link to what is not there.
    #[error("the hard link's target does not exist")]
    LinkTargetMissing,
    /// A hard link to a directory.
    #[error("the hard link's target is a directory")]
    LinkToDirectory,
    /// A symbolic link to nowhere.
    #[error("the symbolic link's target is empty")]
    EmptyTarget,
    /// A number that no file system holds.
    #[error("the {0} is out of range")]
    OutOfRange(&'static str),
    /// The image is larger than [`Limits`] allow.
    #[error("the image has more than the allowed {limit} {what}")]
    Limit {
        /// Of what.
        what: &'static str,
        /// How many.
        limit: u64,
    },
}

/// Merges `layers` and writes one archive to `out`.
pub fn merge<L: Layers + ?Sized>(
    layers: &L,
    limits: &Limits,
    out: &mut dyn Write,
    progress: &mut dyn FnMut(Progress),
) -> Result<(), Error> {
    Plan::new(layers, limits, progress)?.write(layers, out, progress)
}

/// Writes an entry of the root directory itself: root's, 0755, of 1970. For tools that
/// have another opinion; it comes before all others.
pub fn write_root(out: &mut dyn Write) -> io::Result<()> {
    Writer::new(out).directory(b"./", None)
}

/// What the first pass finds out.
pub struct Plan {
    merger: Merger,
}

impl Plan {
    /// The first pass.
    pub fn new<L: Layers + ?Sized>(
        layers: &L,
        limits: &Limits,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Plan, Error> {
        let count = layers.count();
        let mut merger = Merger::new(*limits);
        let mut read = 0;
        for layer in 0..count {
            progress(Progress::Check { number: layer + 1, count });
            read = survey(layers, layer, read, &mut merger)?;
        }
        Ok(Plan { merger })
    }

    /// The latest time of any entry, in seconds since 1970.
    pub fn newest(&self) -> u32 {
        self.merger.newest()
    }

    /// The second pass.
    pub fn write<L: Layers + ?Sized>(
        self,
        layers: &L,
        out: &mut dyn Write,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<(), Error> {
        let count = layers.count();
        let mut writer = Writer::new(out);
        let paths = self.merger.finish(&mut writer).map_err(Error::Write)?;
        for layer in 0..count {
            if paths.needs(layer) {
                progress(Progress::Write { number: layer + 1, count });
                copy(layers, layer, &paths, &mut writer)?;
            }
        }
        for (name, target) in paths.links() {
            writer.hard_link(name, target).map_err(Error::Write)?;
        }
        writer.finish().map_err(Error::Write)
    }
}

impl std::fmt::Debug for Plan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Plan").field("newest", &self.newest()).finish_non_exhaustive()
    }
}

/// The first pass over one layer. The layers below have given `read` bytes;
/// returns the sum.
fn survey<L: Layers + ?Sized>(
    layers: &L,
    layer: usize,
    read: u64,
    merger: &mut Merger,
) -> Result<u64, Error> {
    let blame = |entry, why| Error::Layer { layer, entry, why };
    let input = layers.open(layer).map_err(|e| blame(None, e.into()))?;
    let mut archive = Archive::new(input, read, merger.limits().unpacked);
    merger.begin(layer);
    while let Some(entry) = archive.next_entry().map_err(|(entry, why)| blame(entry, why))? {
        merger.add(&entry).map_err(|why| blame(Some(entry.path.clone()), why))?;
    }
    merger.end();
    archive.finish().map_err(|why| blame(None, why))
}

/// The second pass over one layer: copies the entries that survived.
fn copy<L: Layers + ?Sized>(
    layers: &L,
    layer: usize,
    paths: &Paths,
    writer: &mut Writer,
) -> Result<(), Error> {
    let blame = |entry, why| Error::Layer { layer, entry, why };
    let input = layers.open(layer).map_err(|e| blame(None, e.into()))?;
    let mut archive = Archive::new(input, 0, u64::MAX);
    while let Some(entry) = archive.next_entry().map_err(|(entry, why)| blame(entry, why))? {
        let Some(path) = paths.path(layer, entry.number) else { continue };
        writer.entry(path, &entry).map_err(Error::Write)?;
        loop {
            let data = archive.data().map_err(|why| blame(Some(entry.path.clone()), why))?;
            if data.is_empty() {
                break;
            }
            writer.data(data).map_err(Error::Write)?;
        }
        writer.pad(entry.size).map_err(Error::Write)?;
    }
    archive.finish().map(drop).map_err(|why| blame(None, why))
}
