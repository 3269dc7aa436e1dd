//! Exclusive use of disks: one user that writes, or any number that read.
//!
//! A file reaches a guest through a loop device, whoever made that, so its users
//! are among the loop devices. A block device is in use by the disk backends in
//! xenstore, by loop devices on it, or by this host itself.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::libc;
use nix::sys::stat::{major, makedev, minor};

use super::loopdev::{self, Bound, Marker};
use super::{Backend, Error, Result, Store};

/// A disk that somebody asks for.
#[derive(Debug)]
pub(super) struct Wanted {
    /// As the configuration names it.
    pub path: PathBuf,
    /// `st_rdev` of a block device.
    pub device: Option<u64>,
    /// `st_dev` and `st_ino` of a file, or of the file behind a loop device.
    pub file: Option<(u64, u64)>,
    pub writable: bool,
}

/// Fails if `wanted` cannot be had together with what others have. Loop devices
/// that were left behind by backends that are gone are detached on the way.
pub(super) fn check(wanted: &Wanted, backend: &Backend, store: &impl Store) -> Result<()> {
    for bound in loopdev::all()? {
        let itself = wanted.device == Some(bound.rdev);
        if itself || !touches(wanted, &bound) || detach_leftover(&bound, backend, store)? {
            continue;
        }
        if wanted.writable || bound.writable {
            let user = disks(store, backend)?.into_iter().find(|disk| disk.device == bound.rdev);
            let holder = match user {
                Some(disk) => disk.holder(store)?,
                None => format!("loop device {}", bound.path.display()),
            };
            return Err(in_use(wanted, holder, bound.writable));
        }
    }
    let Some(device) = wanted.device else { return Ok(()) };
    let mut users = disks(store, backend)?.into_iter().filter(|disk| disk.device == device);
    if let Some(disk) = users.find(|disk| wanted.writable || disk.writable) {
        return Err(in_use(wanted, disk.holder(store)?, disk.writable));
    }
    check_host(wanted, device)
}

fn touches(wanted: &Wanted, bound: &Bound) -> bool {
    wanted.file == Some(bound.file) || (wanted.device.is_some() && wanted.device == bound.device)
}

fn in_use(wanted: &Wanted, holder: String, writable: bool) -> Error {
    let how = if writable { "for writing" } else { "read-only" };
    Error::InUse { path: wanted.path.clone(), writable: wanted.writable, holder, how }
}

/// Whether `bound` was one of ours without a living backend; then it is detached.
/// `backend` itself has not published a device yet, so one with its marker is
/// what a killed attempt left.
fn detach_leftover(bound: &Bound, backend: &Backend, store: &impl Store) -> Result<bool> {
    let Some(marker) = bound.marker else { return Ok(false) };
    let same = marker == Marker { domid: backend.domid, devid: backend.devid };
    let dead = same || !is_alive(marker, store)?;
    if dead {
        loopdev::detach(&bound.path, marker)?;
    }
    Ok(dead)
}

/// Whether the backend that a loop device was made for still exists.
pub(super) fn is_alive(marker: Marker, store: &impl Store) -> Result<bool> {
    let Marker { domid, devid } = marker;
    Ok(store.read(&format!("backend/vbd/{domid}/{devid}/state"))?.is_some())
}

/// A disk backend with a device, in xenstore.
struct Disk {
    backend: String,
    domid: String,
    device: u64,
    writable: bool,
}

impl Disk {
    /// For an error message: `domain "web" (5), which has /srv/a.img`.
    fn holder(&self, store: &impl Store) -> Result<String> {
        let text = |path: String| -> Result<String> {
            let value = store.read(&path)?.unwrap_or_default();
            Ok(String::from_utf8_lossy(&value).into_owned())
        };
        let name = text(format!("/local/domain/{}/name", self.domid))?;
        let path = text(format!("{}/params", self.backend))?;
        Ok(format!("domain {name:?} ({}), which has {path}", self.domid))
    }
}

/// All disk backends of this domain that have a device, but for `except`.
fn disks(store: &impl Store, except: &Backend) -> Result<Vec<Disk>> {
    let mut disks = Vec::new();
    for domid in store.list("backend/vbd")? {
        for devid in store.list(&format!("backend/vbd/{domid}"))? {
            let backend = format!("backend/vbd/{domid}/{devid}");
            let device = store.read(&format!("{backend}/physical-device"))?;
            let Some(device) = device.and_then(|hex| parse_device(&hex)) else { continue };
            if except.path.ends_with(&backend) {
                continue;
            }
            let mode = store.read(&format!("{backend}/mode"))?.unwrap_or_default();
            let writable = mode.starts_with(b"w");
            disks.push(Disk { backend, domid: domid.clone(), device, writable });
        }
    }
    Ok(disks)
}

/// `physical-device` is `MAJOR:MINOR` in hexadecimal.
pub(super) fn parse_device(hex: &[u8]) -> Option<u64> {
    let (major, minor) = std::str::from_utf8(hex).ok()?.split_once(':')?;
    let number = |text| u64::from_str_radix(text, 16).ok();
    Some(makedev(number(major)?, number(minor)?))
}

/// The other way round.
pub(super) fn format_device(rdev: u64) -> String {
    format!("{:x}:{:x}", major(rdev), minor(rdev))
}

/// A block device that this host itself uses: mounted, part of an array, a swap.
fn check_host(wanted: &Wanted, device: u64) -> Result<()> {
    let host = |how| Error::InUse {
        path: wanted.path.clone(),
        writable: wanted.writable,
        holder: "this host".to_owned(),
        how,
    };
    if wanted.writable {
        // Read-only, because closing a descriptor that could write makes udev probe it.
        let exclusive = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_EXCL | libc::O_NONBLOCK)
            .open(&wanted.path);
        return match exclusive {
            Ok(_) => Ok(()),
            Err(e) if e.raw_os_error() == Some(libc::EBUSY) => Err(host("exclusively")),
            Err(e) => Err(Error::io("open", &wanted.path, e)),
        };
    }
    let mounts = Path::new("/proc/self/mountinfo");
    let text = fs::read(mounts).map_err(|e| Error::io("read", mounts, e))?;
    match is_mounted_writable(&String::from_utf8_lossy(&text), device) {
        true => Err(host("for writing")),
        false => Ok(()),
    }
}

/// `ID PARENT MAJOR:MINOR ROOT POINT OPTIONS … - TYPE SOURCE SUPER-OPTIONS` (proc(5)).
fn is_mounted_writable(mountinfo: &str, device: u64) -> bool {
    let number = format!("{}:{}", major(device), minor(device));
    mountinfo.lines().any(|line| {
        let super_options = line.split_once(" - ").and_then(|(_, rest)| rest.split(' ').nth(2));
        line.split(' ').nth(2) == Some(&number)
            && super_options.is_some_and(|options| options.split(',').any(|o| o == "rw"))
    })
}

/// The file behind `device`, if that is a loop device.
pub(super) fn file_behind(device: u64) -> io::Result<Option<(u64, u64)>> {
    let all = loopdev::all().map_err(io::Error::other)?;
    Ok(all.into_iter().find(|bound| bound.rdev == device).map(|bound| bound.file))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn device_numbers_are_hexadecimal() {
        assert_eq!(parse_device(b"7:1f"), Some(makedev(7, 31)));
        assert_eq!(format_device(makedev(0xfd, 0x10)), "fd:10");
        assert_eq!(parse_device(b"7"), None);
        assert_eq!(parse_device(b"\xff:1"), None);
    }

    #[test]
    fn mounts_that_can_write_are_found() {
        let text = "22 1 8:1 / / ro,relatime shared:1 - ext4 /dev/sda1 rw,errors=continue\n\
                    23 1 8:2 / /srv rw - squashfs /dev/sda2 ro\n";
        assert!(is_mounted_writable(text, makedev(8, 1)));
        assert!(!is_mounted_writable(text, makedev(8, 2)));
        assert!(!is_mounted_writable(text, makedev(8, 3)));
    }
}
