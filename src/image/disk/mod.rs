//! Root disks: the merged layers of an image as one file, SquashFS or EROFS.

mod tools;

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::layer::Blobs;
use super::layout::{LayerRef, Layout};
use super::merge::{self, Limits, Plan};
use super::{Digest, DiskFormat, Error, Formats, Progress, Result, RootDisk};
use crate::state::{self, Lock};
use tools::Maker;
pub use tools::probe_erofs;

/// Part of every disk's name: raised whenever the same layers would give other
/// bytes, so that disks of an older vxn are not taken for ours.
const VERSION: u32 = 1;

/// What decides the bytes of a disk.
fn recipe(layers: &[LayerRef], format: DiskFormat) -> Digest {
    let mut recipe = match format {
        DiskFormat::SquashFs => format!("vxn root disk {VERSION}\n"),
        DiskFormat::Erofs => format!("vxn root disk {VERSION} erofs\n"),
    };
    for layer in layers {
        recipe.push_str(&format!("{}\n", layer.diff_id));
    }
    Digest::of(recipe.as_bytes())
}

/// The disk of a stack of layers, whether it exists or not.
pub fn path(root: &Path, layers: &[LayerRef], format: DiskFormat) -> PathBuf {
    let name = format!("{}.{}", recipe(layers, format).hex(), format.fs_type());
    root.join("disks").join(name)
}

/// The disks of a stack of layers, of all kinds, whether they exist or not.
pub fn paths(root: &Path, layers: &[LayerRef]) -> [PathBuf; DiskFormat::ALL.len()] {
    DiskFormat::ALL.map(|format| path(root, layers, format))
}

/// The best of the disks that are there and will do.
pub fn find(root: &Path, layers: &[LayerRef], formats: Formats) -> Option<RootDisk> {
    let disk =
        |format: &DiskFormat| RootDisk { path: path(root, layers, *format), format: *format };
    formats.list().iter().map(disk).find(|disk| disk.path.exists())
}

/// What is known of a disk, in a file beside it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// What is in it.
    pub format: DiskFormat,
    /// Its content.
    pub digest: Digest,
    /// Its length in bytes.
    pub size: u64,
}

impl Record {
    /// The record of the disk at `path`, if there is one.
    pub fn of(path: &Path) -> Option<Record> {
        serde_json::from_slice(&fs::read(Record::path(path)).ok()?).ok()
    }

    /// Where it is kept.
    pub fn path(disk: &Path) -> PathBuf {
        disk.with_extension("json")
    }

    fn write(disk: &Path, path: &Path, format: DiskFormat) -> io::Result<()> {
        let file = File::open(disk)?;
        let size = file.metadata()?.len();
        let record = Record { format, digest: Digest::of_reader(file)?, size };
        state::write_atomic(&Record::path(path), &serde_json::to_vec_pretty(&record)?)
    }
}

/// Where a disk is to be.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    /// The store's directory.
    pub root: &'a Path,
    /// The maker's own directory, so that the disk stays whatever becomes of the
    /// store's.
    pub held: &'a Path,
}

impl Target<'_> {
    /// Makes a disk unless there is one that will do. One disk is made at a time: the
    /// tools use what processors there are, and whoever waits for the same disk finds
    /// it done.
    pub fn make(
        &self,
        blobs: &Layout,
        layers: &[LayerRef],
        formats: Formats,
        limits: &Limits,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<DiskFormat> {
        if let Some(format) = self.hold_any(layers, formats)? {
            return Ok(format);
        }
        let disks = self.root.join("disks");
        let lock = disks.join(".lock");
        let _held = Lock::exclusive(&lock).map_err(Error::io(&lock))?;
        if let Some(format) = self.hold_any(layers, formats)? {
            return Ok(format);
        }
        let maker = Maker::choose(formats)?;
        let path = path(self.root, layers, maker.format());
        let half = self.held(&path);
        build(&maker, &half, &Blobs { layout: blobs, layers }, limits, progress)?;
        place(&half, &path, maker.format()).map_err(Error::io(&path))?;
        Ok(maker.format())
    }

    /// The maker's own name of the disk at `path`.
    pub fn held(&self, path: &Path) -> PathBuf {
        self.held.join(path.file_name().unwrap_or_default())
    }

    /// Links the best disk that is there and will do.
    fn hold_any(&self, layers: &[LayerRef], formats: Formats) -> Result<Option<DiskFormat>> {
        for format in formats.list() {
            if self.hold(&path(self.root, layers, *format))? {
                return Ok(Some(*format));
            }
        }
        Ok(None)
    }

    fn hold(&self, path: &Path) -> Result<bool> {
        match fs::hard_link(path, self.held(path)) {
            Ok(()) => Ok(true),
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(true),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(e) => Err(Error::io(path)(e)),
        }
    }
}

/// Gives the store the disk that is made in `half`.
fn place(half: &Path, path: &Path, format: DiskFormat) -> io::Result<()> {
    File::open(half)?.sync_all()?;
    // First, so that no disk is without one.
    Record::write(half, path, format)?;
    fs::hard_link(half, path)?;
    File::open(path.parent().unwrap_or(Path::new("/")))?.sync_all()
}

fn build(
    maker: &Maker,
    half: &Path,
    blobs: &Blobs,
    limits: &Limits,
    progress: &mut dyn FnMut(Progress),
) -> Result<()> {
    let plan = Plan::new(blobs, limits, progress).map_err(|e| refused(blobs, half, e))?;
    let mut command = maker.command(half, plan.newest(), &recipe(blobs.layers, maker.format()))?;
    let mut running = maker.tool().start(&mut command)?;
    let Some(stdin) = running.stdin() else { return Ok(running.wait().map(drop)?) };
    let mut tar = BufWriter::with_capacity(1 << 16, stdin);
    let written = root(maker, &mut tar).and_then(|()| plan.write(blobs, &mut tar, progress));
    match written {
        Ok(()) => {
            drop(tar);
            Ok(running.wait().map(drop)?)
        }
        // The tool closed its input, and knows why.
        Err(e @ merge::Error::Write(_)) => {
            drop(tar);
            Err(match running.wait() {
                Err(words) => Error::Tool(words),
                Ok(_) => refused(blobs, half, e),
            })
        }
        // Killed first: mkfs.erofs 1.8 runs for ever at an archive that breaks off.
        Err(e) => {
            drop(running);
            Err(refused(blobs, half, e))
        }
    }
}

/// sqfstar is told of the root directory by flags; without a word, mkfs.erofs lets all
/// the world write there.
fn root(maker: &Maker, tar: &mut dyn Write) -> std::result::Result<(), merge::Error> {
    match maker.format() {
        DiskFormat::SquashFs => Ok(()),
        DiskFormat::Erofs => merge::write_root(tar).map_err(merge::Error::Write),
    }
}

/// Puts a name to what went wrong. A damaged blob fails in many ways; say that
/// it is damaged, once.
pub(super) fn refused(blobs: &Blobs, half: &Path, error: merge::Error) -> Error {
    let (index, entry, why) = match error {
        merge::Error::Layer { layer, entry, why } => (layer, entry, why),
        merge::Error::Write(e) => return Error::io(half)(e),
    };
    let layer = blobs.layers[index].digest;
    if let merge::Refusal::Unreadable(_) = why {
        if let Err(e) = blobs.layout.verify(&layer) {
            return e;
        }
    }
    let entry = entry.map(|name| String::from_utf8_lossy(&name).into_owned());
    Error::Layer { layer, entry, why }
}
