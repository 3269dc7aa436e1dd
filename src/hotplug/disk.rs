//! Disks: a block device as it is, a file by way of a loop device.
//!
//! blkback connects as soon as `physical-device` is there; that and everything
//! else about the device appears in one transaction.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use super::claims::{self, Wanted};
use super::loopdev::{self, Bound, Marker};
use super::{Backend, Error, Result, Store};

/// Gives the backend the device for its `params` and `mode`. Done already: nothing.
pub(super) fn add(backend: &Backend, store: &impl Store) -> Result<()> {
    if store.read(&backend.node("physical-device"))?.is_some() {
        return Ok(());
    }
    let writable = required(backend, store, "mode")?.starts_with(b"w");
    let path = PathBuf::from(OsString::from_vec(required(backend, store, "params")?));
    let file = open(&path, writable)?;
    let wanted = wanted(path, &file, writable)?;
    claims::check(&wanted, backend, store)?;
    match wanted.device {
        Some(device) => publish(backend, store, &wanted.path, device),
        None => add_file(backend, store, &file, &wanted),
    }
}

fn add_file(backend: &Backend, store: &impl Store, file: &File, wanted: &Wanted) -> Result<()> {
    let marker = marker(backend);
    let Bound { path, rdev, .. } = loopdev::attach(file, wanted.writable, marker)?;
    publish(backend, store, &path, rdev).inspect_err(|_| {
        // The first error is the one to report; the reaper finds what is left.
        let _ = loopdev::detach(&path, marker);
    })
}

/// Takes the backend's loop device away, if it has one.
pub(super) fn remove(backend: &Backend) -> Result<()> {
    let marker = marker(backend);
    for bound in loopdev::all()? {
        if bound.marker == Some(marker) {
            loopdev::detach(&bound.path, marker)?;
        }
    }
    Ok(())
}

fn marker(backend: &Backend) -> Marker {
    Marker { domid: backend.domid, devid: backend.devid }
}

fn required(backend: &Backend, store: &impl Store, name: &str) -> Result<Vec<u8>> {
    let path = backend.node(name);
    match store.read(&path)? {
        Some(value) if !value.is_empty() => Ok(value),
        _ => Err(Error::Missing(path)),
    }
}

fn open(path: &Path, writable: bool) -> Result<File> {
    let how = if writable { "open for writing" } else { "open" };
    OpenOptions::new().read(true).write(writable).open(path).map_err(|e| Error::io(how, path, e))
}

fn wanted(path: PathBuf, file: &File, writable: bool) -> Result<Wanted> {
    let meta = file.metadata().map_err(|e| Error::io("examine", &path, e))?;
    let kind = meta.file_type();
    let (device, file) = if kind.is_block_device() {
        let behind = claims::file_behind(meta.rdev());
        (Some(meta.rdev()), behind.map_err(|e| Error::io("examine", &path, e))?)
    } else if kind.is_file() {
        (None, Some((meta.dev(), meta.ino())))
    } else {
        return Err(Error::NotADisk(path));
    };
    Ok(Wanted { path, device, file, writable })
}

fn publish(backend: &Backend, store: &impl Store, path: &Path, device: u64) -> Result<()> {
    let path = path.as_os_str().as_encoded_bytes().to_vec();
    let nodes = [
        (backend.node("node"), path.clone()),
        (backend.node("physical-device-path"), path),
        (backend.node("physical-device"), claims::format_device(device).into_bytes()),
        (backend.node("hotplug-status"), b"connected".to_vec()),
    ];
    match store.publish(&backend.node("state"), &nodes)? {
        true => Ok(()),
        false => Err(Error::Gone(backend.path.clone())),
    }
}
