//! Disks and network interfaces.
#![expect(unsafe_code)]

use std::ffi::CStr;
use std::mem::MaybeUninit;
use std::ptr;

use xen_sys::{
    LIBXL_DISK_BACKEND_PHY, LIBXL_DISK_FORMAT_RAW, LIBXL_NIC_TYPE_VIF, libxl_device_disk,
    libxl_device_disk_add, libxl_device_disk_dispose, libxl_device_disk_init,
    libxl_device_disk_list, libxl_device_disk_list_free, libxl_device_disk_remove,
    libxl_device_nic, libxl_device_nic_add, libxl_device_nic_destroy, libxl_device_nic_dispose,
    libxl_device_nic_init, libxl_device_nic_list, libxl_device_nic_list_free,
    libxl_device_nic_remove, libxl_devid_to_device_nic, libxl_vdev_to_device_disk,
};

use super::alloc::{optional, optional_path, path, string, text, to_path};
use super::{RawCtx, check};
use crate::libxl::{AttachedNic, Code, Disk, DomId, Error, Mac, Nic};

/// Owns a `libxl_device_disk` and all that it points to.
pub struct RawDisk(libxl_device_disk);

/// Owns a `libxl_device_nic` and all that it points to.
pub struct RawNic(libxl_device_nic);

pub fn init_disk(raw: &mut libxl_device_disk) {
    // SAFETY: the function overwrites all of it.
    unsafe { libxl_device_disk_init(raw) };
}

pub fn init_nic(raw: &mut libxl_device_nic) {
    // SAFETY: the function overwrites all of it.
    unsafe { libxl_device_nic_init(raw) };
}

/// Fills an initialised structure.
pub fn fill_disk(raw: &mut libxl_device_disk, disk: &Disk) -> Result<(), Error> {
    raw.format = LIBXL_DISK_FORMAT_RAW;
    raw.backend = LIBXL_DISK_BACKEND_PHY; // anything else is served by QEMU
    raw.readwrite = disk.writable.into();
    raw.pdev_path = path("path of the disk", &disk.path)?;
    raw.vdev = string("name of the disk", disk.vdev.as_bytes())?;
    raw.script = optional_path("path of the disk's script", disk.script.as_deref())?;
    Ok(())
}

/// Fills an initialised structure.
pub fn fill_nic(raw: &mut libxl_device_nic, nic: &Nic) -> Result<(), Error> {
    raw.nictype = LIBXL_NIC_TYPE_VIF;
    raw.mac = nic.mac.map_or([0; 6], |mac| mac.0); // libxl makes one up for zero
    if let Some(mtu) = nic.mtu {
        raw.mtu = i32::try_from(mtu).unwrap_or(i32::MAX);
    }
    raw.bridge = optional("name of the bridge", nic.bridge.as_deref())?;
    raw.ifname = optional("name of the interface", nic.ifname.as_deref())?;
    raw.script = optional_path("path of the interface's script", nic.script.as_deref())?;
    Ok(())
}

impl RawDisk {
    fn empty() -> RawDisk {
        let mut raw = MaybeUninit::uninit();
        // SAFETY: the function initialises all of it.
        unsafe { libxl_device_disk_init(raw.as_mut_ptr()) };
        // SAFETY: initialised.
        RawDisk(unsafe { raw.assume_init() })
    }

    pub fn new(disk: &Disk) -> Result<RawDisk, Error> {
        let mut raw = RawDisk::empty();
        fill_disk(&mut raw.0, disk)?;
        Ok(raw)
    }

    /// The disk that a domain calls `vdev`.
    pub fn find(ctx: &RawCtx, domid: DomId, vdev: &CStr) -> Result<RawDisk, Code> {
        let mut raw = RawDisk::empty();
        // SAFETY: libxl initialises the structure again and fills it from malloc.
        let rc =
            unsafe { libxl_vdev_to_device_disk(ctx.as_ptr(), domid.0, vdev.as_ptr(), &mut raw.0) };
        check(rc).map(|()| raw)
    }

    pub fn attach(&mut self, ctx: &RawCtx, domid: DomId) -> Result<(), Code> {
        // SAFETY: the disk lives until this synchronous call is over.
        check(unsafe { libxl_device_disk_add(ctx.as_ptr(), domid.0, &mut self.0, ptr::null()) })
    }

    pub fn detach(mut self, ctx: &RawCtx, domid: DomId) -> Result<(), Code> {
        // SAFETY: the disk lives until this synchronous call is over.
        check(unsafe { libxl_device_disk_remove(ctx.as_ptr(), domid.0, &mut self.0, ptr::null()) })
    }
}

impl Drop for RawDisk {
    fn drop(&mut self) {
        // SAFETY: initialised; all that it points to came from malloc.
        unsafe { libxl_device_disk_dispose(&mut self.0) };
    }
}

impl RawNic {
    fn empty() -> RawNic {
        let mut raw = MaybeUninit::uninit();
        // SAFETY: the function initialises all of it.
        unsafe { libxl_device_nic_init(raw.as_mut_ptr()) };
        // SAFETY: initialised.
        RawNic(unsafe { raw.assume_init() })
    }

    pub fn new(nic: &Nic) -> Result<RawNic, Error> {
        let mut raw = RawNic::empty();
        fill_nic(&mut raw.0, nic)?;
        Ok(raw)
    }

    /// The interface of that number.
    pub fn find(ctx: &RawCtx, domid: DomId, devid: u32) -> Result<RawNic, Code> {
        let devid = i32::try_from(devid).map_err(|_| Code::NOTFOUND)?;
        let mut raw = RawNic::empty();
        // SAFETY: libxl initialises the structure again and fills it from malloc.
        let rc = unsafe { libxl_devid_to_device_nic(ctx.as_ptr(), domid.0, devid, &mut raw.0) };
        check(rc).map(|()| raw)
    }

    /// Returns the number that libxl chose.
    pub fn attach(&mut self, ctx: &RawCtx, domid: DomId) -> Result<u32, Code> {
        // SAFETY: the interface lives until this synchronous call is over.
        check(unsafe { libxl_device_nic_add(ctx.as_ptr(), domid.0, &mut self.0, ptr::null()) })?;
        u32::try_from(self.0.devid).map_err(|_| Code::FAIL)
    }

    /// Whether libxl has chosen a number, and may have written nodes.
    pub fn is_numbered(&self) -> bool {
        self.0.devid >= 0
    }

    /// Removes it whatever the guest does.
    pub fn pull(mut self, ctx: &RawCtx, domid: DomId) -> Result<(), Code> {
        // SAFETY: the interface lives until this synchronous call is over.
        check(unsafe { libxl_device_nic_destroy(ctx.as_ptr(), domid.0, &mut self.0, ptr::null()) })
    }

    pub fn detach(mut self, ctx: &RawCtx, domid: DomId) -> Result<(), Code> {
        // SAFETY: the interface lives until this synchronous call is over.
        check(unsafe { libxl_device_nic_remove(ctx.as_ptr(), domid.0, &mut self.0, ptr::null()) })
    }
}

impl Drop for RawNic {
    fn drop(&mut self) {
        // SAFETY: initialised; all that it points to came from malloc.
        unsafe { libxl_device_nic_dispose(&mut self.0) };
    }
}

/// libxl gives the same answer for "none" and "failed"; it logs the latter.
pub fn list_disks(ctx: &RawCtx, domid: DomId) -> Vec<Disk> {
    let mut count = 0;
    // SAFETY: the context is open, `count` takes the count.
    let list = unsafe { libxl_device_disk_list(ctx.as_ptr(), domid.0, &mut count) };
    if list.is_null() {
        return Vec::new();
    }
    // SAFETY: `count` initialised structures.
    let raw = unsafe { std::slice::from_raw_parts(list, count as usize) };
    let disks = raw.iter().map(disk).collect();
    // SAFETY: the list as it came.
    unsafe { libxl_device_disk_list_free(list, count) };
    disks
}

fn disk(raw: &libxl_device_disk) -> Disk {
    Disk {
        // SAFETY: null or a C string.
        path: unsafe { to_path(raw.pdev_path) }.unwrap_or_default(),
        // SAFETY: null or a C string.
        vdev: unsafe { text(raw.vdev) }.unwrap_or_default(),
        writable: raw.readwrite != 0,
        script: None,
    }
}

/// libxl gives the same answer for "none" and "failed"; it logs the latter.
pub fn list_nics(ctx: &RawCtx, domid: DomId) -> Vec<AttachedNic> {
    let mut count = 0;
    // SAFETY: the context is open, `count` takes the count.
    let list = unsafe { libxl_device_nic_list(ctx.as_ptr(), domid.0, &mut count) };
    if list.is_null() {
        return Vec::new();
    }
    // SAFETY: `count` initialised structures.
    let raw = unsafe { std::slice::from_raw_parts(list, count as usize) };
    let nics = raw.iter().filter_map(attached_nic).collect();
    // SAFETY: the list as it came.
    unsafe { libxl_device_nic_list_free(list, count) };
    nics
}

fn attached_nic(raw: &libxl_device_nic) -> Option<AttachedNic> {
    let nic = Nic {
        mac: Some(Mac(raw.mac)),
        // SAFETY: null or a C string.
        bridge: unsafe { text(raw.bridge) },
        // SAFETY: null or a C string.
        script: unsafe { to_path(raw.script) },
        // SAFETY: null or a C string.
        ifname: unsafe { text(raw.ifname) },
        mtu: u32::try_from(raw.mtu).ok(),
    };
    Some(AttachedNic { devid: u32::try_from(raw.devid).ok()?, nic })
}
