//! Virtual block devices.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{Ctx, DomId, Result, ffi};

/// A disk of a domain (`libxl_device_disk`): raw, served by the kernel's blkback.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Disk {
    /// A file or a block device in Dom0.
    pub path: PathBuf,
    /// Its name in the domain, such as `xvda`.
    pub vdev: String,
    /// Whether the domain may write to it.
    pub writable: bool,
    /// The program that makes it available in Dom0: absolute, or in Xen's script
    /// directory. None takes libxl's own choice, which runs a shell script.
    pub script: Option<PathBuf>,
}

impl Ctx {
    /// Attaches a disk (`libxl_device_disk_add`). What is half-done after a failure
    /// is removed.
    pub fn attach_disk(&self, domid: DomId, disk: &Disk) -> Result<()> {
        let mut raw = ffi::RawDisk::new(disk)?;
        let attached = self.run(format_args!("attach {} to domain {domid}", disk.vdev), |ctx| {
            raw.attach(ctx, domid)
        });
        self.remove_half_attached(&attached, domid, |ctx| raw.detach(ctx, domid));
        attached
    }

    /// Detaches the disk that the domain calls `vdev` (`libxl_device_disk_remove`).
    /// A domain that does not let go of it within 10 s loses it all the same.
    pub fn detach_disk(&self, domid: DomId, vdev: &str) -> Result<()> {
        let c_vdev = ffi::c_string("name of the disk", vdev.as_bytes())?;
        self.run(format_args!("detach {vdev} from domain {domid}"), |ctx| {
            ffi::RawDisk::find(ctx, domid, &c_vdev)?.detach(ctx, domid)
        })
    }

    /// The disks of a domain (`libxl_device_disk_list`), without their scripts.
    pub fn disks(&self, domid: DomId) -> Result<Vec<Disk>> {
        self.run(format_args!("list the disks of domain {domid}"), |ctx| {
            Ok(ffi::list_disks(ctx, domid))
        })
    }
}
