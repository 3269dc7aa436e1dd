//! Operations on domains.
#![expect(unsafe_code)]

use std::ffi::CStr;
use std::mem::MaybeUninit;
use std::ptr;

use xen_sys::{
    LIBXL_SHUTDOWN_REASON_CRASH, LIBXL_SHUTDOWN_REASON_POWEROFF, LIBXL_SHUTDOWN_REASON_REBOOT,
    LIBXL_SHUTDOWN_REASON_SOFT_RESET, LIBXL_SHUTDOWN_REASON_SUSPEND,
    LIBXL_SHUTDOWN_REASON_WATCHDOG, libxl_domain_core_dump, libxl_domain_destroy,
    libxl_domain_info, libxl_domain_pause, libxl_domain_rename, libxl_domain_shutdown,
    libxl_domain_unpause, libxl_dominfo, libxl_dominfo_dispose, libxl_dominfo_init,
    libxl_dominfo_list_free, libxl_list_domain, libxl_set_memory_target, libxl_shutdown_reason,
};

use super::{RawCtx, check};
use crate::libxl::{Code, DomId, DomainInfo, DomainState, ShutdownReason, Uuid};

pub fn unpause(ctx: &RawCtx, domid: DomId) -> Result<(), Code> {
    // SAFETY: the context is open; without `ao_how` the call is synchronous.
    check(unsafe { libxl_domain_unpause(ctx.as_ptr(), domid.0, ptr::null()) })
}

pub fn pause(ctx: &RawCtx, domid: DomId) -> Result<(), Code> {
    // SAFETY: as in `unpause`.
    check(unsafe { libxl_domain_pause(ctx.as_ptr(), domid.0, ptr::null()) })
}

pub fn shutdown(ctx: &RawCtx, domid: DomId) -> Result<(), Code> {
    // SAFETY: as in `unpause`.
    check(unsafe { libxl_domain_shutdown(ctx.as_ptr(), domid.0, ptr::null()) })
}

pub fn destroy(ctx: &RawCtx, domid: DomId) -> Result<(), Code> {
    // SAFETY: as in `unpause`.
    check(unsafe { libxl_domain_destroy(ctx.as_ptr(), domid.0, ptr::null()) })
}

pub fn core_dump(ctx: &RawCtx, domid: DomId, file: &CStr) -> Result<(), Code> {
    // SAFETY: as in `unpause`.
    check(unsafe { libxl_domain_core_dump(ctx.as_ptr(), domid.0, file.as_ptr(), ptr::null()) })
}

pub fn rename(ctx: &RawCtx, domid: DomId, name: &CStr) -> Result<(), Code> {
    // SAFETY: the context is open; no old name means any.
    check(unsafe { libxl_domain_rename(ctx.as_ptr(), domid.0, ptr::null(), name.as_ptr()) })
}

/// Asks the guest for memory or gives it some, and holds it to that.
pub fn set_memory_target(ctx: &RawCtx, domid: DomId, kib: u64) -> Result<(), Code> {
    let kib = i64::try_from(kib).map_err(|_| Code::INVAL)?;
    // SAFETY: the context is open; the target is absolute, and enforced.
    check(unsafe { libxl_set_memory_target(ctx.as_ptr(), domid.0, kib, 0, 1) })
}

/// Without name and type, which libxl does not know.
pub fn domain_info(ctx: &RawCtx, domid: DomId) -> Result<DomainInfo, Code> {
    let mut raw = MaybeUninit::uninit();
    // SAFETY: the function initialises all of it.
    unsafe { libxl_dominfo_init(raw.as_mut_ptr()) };
    // SAFETY: the context is open, the structure initialised.
    let rc = unsafe { libxl_domain_info(ctx.as_ptr(), raw.as_mut_ptr(), domid.0) };
    // SAFETY: initialised.
    let mut raw: libxl_dominfo = unsafe { raw.assume_init() };
    let info = info(&raw);
    // SAFETY: initialised, and filled by libxl alone.
    unsafe { libxl_dominfo_dispose(&mut raw) };
    check(rc).map(|()| info)
}

pub fn list_domains(ctx: &RawCtx) -> Result<Vec<DomainInfo>, Code> {
    let mut count = 0;
    // SAFETY: the context is open, `count` takes the count.
    let list = unsafe { libxl_list_domain(ctx.as_ptr(), &mut count) };
    if list.is_null() {
        return Err(Code::FAIL);
    }
    // SAFETY: `count` initialised structures.
    let raw = unsafe { std::slice::from_raw_parts(list, count as usize) };
    let infos = raw.iter().map(info).collect();
    // SAFETY: the list as it came.
    unsafe { libxl_dominfo_list_free(list, count) };
    Ok(infos)
}

fn info(raw: &libxl_dominfo) -> DomainInfo {
    DomainInfo {
        domid: DomId(raw.domid),
        uuid: Uuid(raw.uuid.uuid),
        name: None,
        guest_type: None,
        state: DomainState {
            running: raw.running,
            blocked: raw.blocked,
            paused: raw.paused,
            shutdown: raw.shutdown,
            dying: raw.dying,
        },
        shutdown_reason: raw.shutdown.then(|| shutdown_reason(raw.shutdown_reason)),
        memory_kib: raw.current_memkb,
        max_memory_kib: raw.max_memkb,
        vcpus: raw.vcpu_online,
        cpu_time_ns: raw.cpu_time,
    }
}

pub fn shutdown_reason(raw: libxl_shutdown_reason) -> ShutdownReason {
    match raw {
        LIBXL_SHUTDOWN_REASON_POWEROFF => ShutdownReason::PowerOff,
        LIBXL_SHUTDOWN_REASON_REBOOT => ShutdownReason::Reboot,
        LIBXL_SHUTDOWN_REASON_SUSPEND => ShutdownReason::Suspend,
        LIBXL_SHUTDOWN_REASON_CRASH => ShutdownReason::Crash,
        LIBXL_SHUTDOWN_REASON_WATCHDOG => ShutdownReason::Watchdog,
        LIBXL_SHUTDOWN_REASON_SOFT_RESET => ShutdownReason::SoftReset,
        other => ShutdownReason::Unknown(other),
    }
}
