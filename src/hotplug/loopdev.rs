//! Loop devices: a file as a block device, marked with the backend that it is for.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use nix::errno::Errno;

use super::sys::{self, LoopInfo};
use super::{Error, Result};

/// Which backend a loop device is for; kept in the device itself, as `lo_file_name`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Marker {
    /// The domain.
    pub domid: u32,
    /// The virtual device number of the disk.
    pub devid: u32,
}

impl fmt::Display for Marker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "vxn:{}:{}", self.domid, self.devid)
    }
}

impl FromStr for Marker {
    type Err = ();

    fn from_str(text: &str) -> std::result::Result<Marker, ()> {
        let (domid, devid) =
            text.strip_prefix("vxn:").and_then(|rest| rest.split_once(':')).ok_or(())?;
        Ok(Marker { domid: domid.parse().or(Err(()))?, devid: devid.parse().or(Err(()))? })
    }
}

/// A loop device that is bound to a file.
#[derive(Debug, Clone)]
pub(super) struct Bound {
    /// `/dev/loopN`.
    pub path: PathBuf,
    /// Its own device number, as `st_rdev` has it.
    pub rdev: u64,
    /// `st_dev` and `st_ino` of the backing file.
    pub file: (u64, u64),
    /// The backing block device, if the backing file is one.
    pub device: Option<u64>,
    pub writable: bool,
    /// None: made by somebody else.
    pub marker: Option<Marker>,
}

/// Races with other users of free loop devices that [`attach`] stands before it gives up.
const TRIES: usize = 64;

/// Binds a free loop device to `backing`: direct I/O where its file system can,
/// no partition scan.
pub(super) fn attach(backing: &File, writable: bool, marker: Marker) -> Result<Bound> {
    let control = Path::new("/dev/loop-control");
    let control_file = open(control, true).map_err(|e| Error::io("open", control, e))?;
    let mut info = LoopInfo::ZERO;
    info.flags = sys::DIRECT_IO | if writable { 0 } else { sys::READ_ONLY };
    let name = marker.to_string();
    info.file_name[..name.len()].copy_from_slice(name.as_bytes());
    for _ in 0..TRIES {
        let number = sys::free_number(&control_file)
            .map_err(|e| Error::io("get a free loop device from", control, e.into()))?;
        let path = PathBuf::from(format!("/dev/loop{number}"));
        let device = open(&path, writable).map_err(|e| Error::io("open", &path, e))?;
        match sys::configure(&device, backing, info) {
            Ok(()) => {
                return examine(&path, &device)
                    .and_then(|bound| bound.ok_or_else(|| Errno::ENXIO.into()))
                    .map_err(|e| Error::io("examine", &path, e));
            }
            Err(Errno::EBUSY) => {}
            Err(e) => return Err(Error::io("bind", &path, e.into())),
        }
    }
    Err(Error::io("find a free loop device with", control, Errno::EBUSY.into()))
}

/// Every bound loop device of this host.
pub(super) fn all() -> Result<Vec<Bound>> {
    let block = Path::new("/sys/block");
    let mut found = Vec::new();
    for entry in fs::read_dir(block).map_err(|e| Error::io("read", block, e))? {
        let entry = entry.map_err(|e| Error::io("read", block, e))?;
        // The directory `loop` is there while the device is bound.
        let name = entry.file_name();
        if name.as_encoded_bytes().starts_with(b"loop") && entry.path().join("loop").exists() {
            let path = Path::new("/dev").join(name);
            found.extend(open(&path, false).and_then(|d| examine(&path, &d)).ok().flatten());
        }
    }
    Ok(found)
}

/// Unbinds the device if it still carries `marker`; if it is in use, at its last close.
pub(super) fn detach(path: &Path, marker: Marker) -> Result<()> {
    let device = match open(path, false) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other.map_err(|e| Error::io("open", path, e))?,
    };
    let bound = examine(path, &device).map_err(|e| Error::io("examine", path, e))?;
    if bound.is_none_or(|b| b.marker != Some(marker)) {
        return Ok(());
    }
    match sys::clear(&device) {
        Ok(()) | Err(Errno::ENXIO) => Ok(()),
        Err(e) => Err(Error::io("unbind", path, e.into())),
    }
}

/// What `device` is bound to, if anything.
fn examine(path: &Path, device: &File) -> io::Result<Option<Bound>> {
    let info = match sys::status(device) {
        Err(Errno::ENXIO) => return Ok(None),
        other => other?,
    };
    let name = info.file_name.split(|byte| *byte == 0).next().unwrap_or_default();
    Ok(Some(Bound {
        path: path.to_owned(),
        rdev: device.metadata()?.rdev(),
        file: (info.device, info.inode),
        device: (info.rdevice != 0).then_some(info.rdevice),
        writable: info.flags & sys::READ_ONLY == 0,
        marker: std::str::from_utf8(name).ok().and_then(|name| name.parse().ok()),
    }))
}

fn open(path: &Path, writable: bool) -> io::Result<File> {
    OpenOptions::new().read(true).write(writable).open(path)
}
