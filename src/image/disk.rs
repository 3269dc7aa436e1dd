//! Root disks: the merged layers of an image as one squashfs file.

use std::fs::{self, File};
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::{Deserialize, Serialize};

use super::layer::Blobs;
use super::layout::{LayerRef, Layout};
use super::merge::{self, Limits, Plan};
use super::{Digest, DiskFormat, Error, Progress, Result};
use crate::state::{self, Lock};
use crate::tool::SQFSTAR;

/// Part of every disk's name: raised whenever the same layers would give other
/// bytes, so that disks of an older vxn are not taken for ours.
const VERSION: u32 = 1;

/// The disk of a stack of layers, whether it exists or not.
pub fn path(root: &Path, layers: &[LayerRef]) -> PathBuf {
    let mut recipe = format!("vxn root disk {VERSION}\n");
    for layer in layers {
        recipe.push_str(&format!("{}\n", layer.diff_id));
    }
    root.join("disks").join(format!("{}.squashfs", Digest::of(recipe.as_bytes()).hex()))
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

    fn write(disk: &Path, path: &Path) -> io::Result<()> {
        let file = File::open(disk)?;
        let size = file.metadata()?.len();
        let record =
            Record { format: DiskFormat::SquashFs, digest: Digest::of_reader(file)?, size };
        state::write_atomic(&Record::path(path), &serde_json::to_vec_pretty(&record)?)
    }
}

/// Where a disk is to be.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    /// The store's directory.
    pub root: &'a Path,
    /// A name in the maker's own directory, so that the disk stays whatever
    /// becomes of the store's.
    pub held: &'a Path,
}

impl Target<'_> {
    /// Makes the disk unless it exists. One disk is made at a time: `sqfstar` uses
    /// all processors anyway, and whoever waits for the same disk finds it done.
    pub fn make(
        &self,
        blobs: &Layout,
        layers: &[LayerRef],
        limits: &Limits,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<PathBuf> {
        let path = path(self.root, layers);
        if self.hold(&path)? {
            return Ok(path);
        }
        let disks = self.root.join("disks");
        let lock = disks.join(".lock");
        let _held = Lock::exclusive(&lock).map_err(Error::io(&lock))?;
        if self.hold(&path)? {
            return Ok(path);
        }
        build(self.held, &Blobs { layout: blobs, layers }, limits, progress)?;
        self.place(&path, &disks).map_err(Error::io(&path))?;
        Ok(path)
    }

    /// Links the disk at `path`, if it is there.
    fn hold(&self, path: &Path) -> Result<bool> {
        match fs::hard_link(path, self.held) {
            Ok(()) => Ok(true),
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(true),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(e) => Err(Error::io(path)(e)),
        }
    }

    fn place(&self, path: &Path, disks: &Path) -> io::Result<()> {
        File::open(self.held)?.sync_all()?;
        // First, so that no disk is without one.
        Record::write(self.held, path)?;
        fs::hard_link(self.held, path)?;
        File::open(disks)?.sync_all()
    }
}

fn build(
    half: &Path,
    blobs: &Blobs,
    limits: &Limits,
    progress: &mut dyn FnMut(Progress),
) -> Result<()> {
    let plan = Plan::new(blobs, limits, progress).map_err(|e| refused(blobs, half, e))?;
    let mut command = SQFSTAR.command()?;
    arguments(&mut command, plan.newest()).arg(half);
    let mut running = SQFSTAR.start(command.stdin(Stdio::piped()))?;
    let Some(stdin) = running.stdin() else { return Ok(running.wait().map(drop)?) };
    let mut tar = BufWriter::with_capacity(1 << 16, stdin);
    let written = plan.write(blobs, &mut tar, progress);
    drop(tar);
    match written {
        Ok(()) => Ok(running.wait().map(drop)?),
        // sqfstar closed its input, and knows why.
        Err(e @ merge::Error::Write(_)) => Err(match running.wait() {
            Err(words) => Error::Tool(words),
            Ok(_) => refused(blobs, half, e),
        }),
        Err(e) => Err(refused(blobs, half, e)),
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

/// Memory for `sqfstar`'s queues: its default, a quarter of the machine's, is
/// not ours to take from a small Dom0.
const SQFSTAR_MEMORY: &str = "64M";

/// `newest` is no earlier than any entry. The same layers are to give the same
/// bytes, but sqfstar 4.5 dates the root directory now, whatever `-root-time`
/// says. With this variable it dates nothing later than `newest`.
fn arguments(command: &mut Command, newest: u32) -> &mut Command {
    command
        .env("SOURCE_DATE_EPOCH", newest.to_string())
        .args(["-comp", "lz4", "-quiet", "-no-progress", "-exit-on-error"])
        .args(["-root-mode", "755", "-root-uid", "0", "-root-gid", "0"])
        .args(["-mem", SQFSTAR_MEMORY])
}
