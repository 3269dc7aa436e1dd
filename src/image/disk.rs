//! Root disks: the merged layers of an image as one squashfs file.

use std::fs::{self, File};
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::layer::Blobs;
use super::layout::{LayerRef, Layout};
use super::merge::{self, Limits};
use super::{Digest, Error, Progress, Result};
use crate::state::{Lock, WorkDir};
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

/// Makes the disk unless it exists. One disk is made at a time: `sqfstar` uses
/// all processors anyway, and whoever waits for the same disk finds it done.
pub fn make(
    root: &Path,
    blobs: &Layout,
    layers: &[LayerRef],
    limits: &Limits,
    progress: &mut dyn FnMut(Progress),
) -> Result<PathBuf> {
    let path = path(root, layers);
    if path.exists() {
        return Ok(path);
    }
    let disks = root.join("disks");
    let lock = disks.join(".lock");
    let _held = Lock::exclusive(&lock).map_err(Error::io(&lock))?;
    if path.exists() {
        return Ok(path);
    }
    let tmp = root.join("tmp");
    let work = WorkDir::new(&tmp).map_err(Error::io(&tmp))?;
    let half = work.path().join("disk.squashfs");
    build(&half, &Blobs { layout: blobs, layers }, limits, progress)?;
    place(&half, &path, &disks).map_err(Error::io(&path))?;
    Ok(path)
}

fn place(half: &Path, path: &Path, disks: &Path) -> io::Result<()> {
    File::open(half)?.sync_all()?;
    fs::rename(half, path)?;
    File::open(disks)?.sync_all()
}

fn build(
    half: &Path,
    blobs: &Blobs,
    limits: &Limits,
    progress: &mut dyn FnMut(Progress),
) -> Result<()> {
    let mut command = SQFSTAR.command()?;
    arguments(&mut command).arg(half).stdin(Stdio::piped());
    let mut running = SQFSTAR.start(&mut command)?;
    let Some(stdin) = running.stdin() else { return running.wait().map(drop).map_err(Error::Tool) };
    let mut tar = BufWriter::with_capacity(1 << 16, stdin);
    let merged = merge::merge(blobs, limits, &mut tar, progress);
    drop(tar);
    match merged {
        Ok(()) => running.wait().map(drop).map_err(Error::Tool),
        // sqfstar closed its input: it knows why.
        Err(merge::Error::Write(e)) => match running.wait() {
            Err(words) => Err(Error::Tool(words)),
            Ok(_) => Err(Error::io(half)(e)),
        },
        Err(merge::Error::Layer { layer, entry, why }) => {
            Err(refused(blobs, layer, entry.as_deref(), why))
        }
    }
}

/// A damaged blob fails in many ways; say that it is damaged, once.
fn refused(blobs: &Blobs, index: usize, entry: Option<&[u8]>, why: merge::Refusal) -> Error {
    let layer = blobs.layers[index].digest;
    if let merge::Refusal::Unreadable(_) = why {
        if let Err(e) = blobs.layout.verify(&layer) {
            return e;
        }
    }
    let entry = entry.map(|name| String::from_utf8_lossy(name).into_owned());
    Error::Layer { layer, entry, why }
}

/// Memory for `sqfstar`'s queues: its default, a quarter of the machine's, is
/// not ours to take from a small Dom0.
const SQFSTAR_MEMORY: &str = "64M";

fn arguments(command: &mut Command) -> &mut Command {
    command
        .args(["-comp", "lz4", "-quiet", "-no-progress", "-exit-on-error"])
        .args(["-root-mode", "755", "-root-uid", "0", "-root-gid", "0"])
        .args(["-root-time", "0", "-mkfs-time", "0", "-mem", SQFSTAR_MEMORY])
}
