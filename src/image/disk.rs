//! Root disks: the merged layers of an image as one squashfs file.

use std::fs::{self, File};
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::layer::Blobs;
use super::layout::{LayerRef, Layout};
use super::merge::{self, Limits, Plan};
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
