//! The host, consoles and user data.
#![expect(unsafe_code)]

use std::ffi::{CStr, OsString, c_int};
use std::mem::MaybeUninit;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::ptr;

use xen_sys::{
    libxl_get_free_memory, libxl_get_physinfo, libxl_get_version_info, libxl_physinfo,
    libxl_physinfo_dispose, libxl_physinfo_init, libxl_primary_console_get_tty,
    libxl_userdata_retrieve, libxl_userdata_store,
};

use super::alloc::{take_bytes, text};
use super::{RawCtx, check};
use crate::libxl::{Code, DomId, HostInfo};

pub fn host(ctx: &RawCtx) -> Result<HostInfo, Code> {
    let mut raw = MaybeUninit::uninit();
    // SAFETY: the function initialises all of it.
    unsafe { libxl_physinfo_init(raw.as_mut_ptr()) };
    // SAFETY: the context is open, the structure initialised.
    let rc = unsafe { libxl_get_physinfo(ctx.as_ptr(), raw.as_mut_ptr()) };
    // SAFETY: initialised.
    let mut physical: libxl_physinfo = unsafe { raw.assume_init() };
    // SAFETY: the context is open; the answer belongs to it.
    let version = unsafe { libxl_get_version_info(ctx.as_ptr()).as_ref() };
    let info = version.filter(|_| rc == 0).map(|version| {
        let kib_per_page = u64::try_from(version.pagesize).unwrap_or(4096) / 1024;
        // SAFETY: null or C strings.
        let (extra, commandline) =
            unsafe { (text(version.xen_version_extra), text(version.commandline)) };
        let (major, minor) = (version.xen_version_major, version.xen_version_minor);
        HostInfo {
            xen_version: format!("{major}.{minor}{}", extra.unwrap_or_default()),
            commandline: commandline.unwrap_or_default(),
            hvm: physical.cap_hvm,
            pv: physical.cap_pv,
            hap: physical.cap_hap,
            total_memory_kib: physical.total_pages * kib_per_page,
            free_memory_kib: (physical.free_pages + physical.scrub_pages) * kib_per_page,
            nr_cpus: physical.nr_cpus,
            max_cpu: physical.max_cpu_id,
        }
    });
    // SAFETY: initialised, and filled by libxl alone.
    unsafe { libxl_physinfo_dispose(&mut physical) };
    check(rc)?;
    info.ok_or(Code::FAIL)
}

pub fn free_memory_kib(ctx: &RawCtx) -> Result<u64, Code> {
    let mut free = 0;
    // SAFETY: the context is open, `free` takes the number.
    check(unsafe { libxl_get_free_memory(ctx.as_ptr(), &mut free) })?;
    Ok(free)
}

pub fn console_tty(ctx: &RawCtx, domid: DomId) -> Result<PathBuf, Code> {
    let mut tty = ptr::null_mut();
    // SAFETY: the context is open, `tty` takes a C string from malloc.
    check(unsafe { libxl_primary_console_get_tty(ctx.as_ptr(), domid.0, &mut tty) })?;
    if tty.is_null() {
        return Err(Code::FAIL);
    }
    // SAFETY: a C string from malloc, which is ours.
    let path = unsafe {
        let len = CStr::from_ptr(tty).count_bytes();
        take_bytes(tty.cast(), len)
    };
    path.map(|path| PathBuf::from(OsString::from_vec(path))).ok_or(Code::FAIL)
}

pub fn userdata_store(ctx: &RawCtx, domid: DomId, key: &CStr, bytes: &[u8]) -> Result<(), Code> {
    let len = c_int::try_from(bytes.len()).map_err(|_| Code::INVAL)?;
    // SAFETY: the context is open, the key a C string, `bytes` has `len`.
    check(unsafe { libxl_userdata_store(ctx.as_ptr(), domid.0, key.as_ptr(), bytes.as_ptr(), len) })
}

pub fn userdata_retrieve(ctx: &RawCtx, domid: DomId, key: &CStr) -> Result<Option<Vec<u8>>, Code> {
    let (mut data, mut len) = (ptr::null_mut(), 0);
    // SAFETY: the context is open, the key a C string; the rest takes the answer.
    check(unsafe {
        libxl_userdata_retrieve(ctx.as_ptr(), domid.0, key.as_ptr(), &mut data, &mut len)
    })?;
    // SAFETY: null, or `len` bytes from malloc that are ours.
    Ok(unsafe { take_bytes(data, usize::try_from(len).unwrap_or(0)) })
}

/// Random bytes from the kernel.
pub fn random() -> [u8; 16] {
    let mut bytes = [0; 16];
    loop {
        // SAFETY: room for so many bytes.
        let n = unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len(), 0) };
        // Up to 256 bytes come at once; only a signal during early boot interrupts.
        if n == bytes.len() as isize {
            return bytes;
        }
    }
}
