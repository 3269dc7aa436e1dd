//! Every xenstore path that vxn touches, and who writes there. Paths are those of
//! `docs/misc/xenstore-paths.pandoc` of Xen unless they are vxn's own.

use std::fmt::Display;

/// The home of a domain. The toolstack owns it, the domain can read it.
pub fn domain(domid: u32) -> String {
    format!("/local/domain/{domid}")
}

/// The name of a domain, written by the toolstack.
pub fn name(domid: u32) -> String {
    format!("/local/domain/{domid}/name")
}

/// The terminal of a domain's console, written by xenconsoled.
pub fn console_tty(domid: u32) -> String {
    format!("/local/domain/{domid}/console/tty")
}

/// Where a toolstack asks a domain's kernel to power off or reboot.
pub fn shutdown(domid: u32) -> String {
    format!("/local/domain/{domid}/control/shutdown")
}

/// The process id of the QEMU that libxl has started for a domain.
pub fn device_model_pid(domid: u32) -> String {
    format!("/local/domain/{domid}/image/device-model-pid")
}

/// What libxl keeps about a domain for itself.
pub fn libxl(domid: u32) -> String {
    format!("/libxl/{domid}")
}

/// What libxl keeps about a domain by its UUID.
pub fn vm(uuid: impl Display) -> String {
    format!("/vm/{uuid}")
}

/// What libxl knows a domain as: `pv`, `pvh` or `hvm`.
pub fn libxl_type(domid: u32) -> String {
    format!("/libxl/{domid}/type")
}

/// vxn's own corner of a domain: readable by the domain, written by vxn alone.
pub fn vxn(domid: u32) -> String {
    format!("/local/domain/{domid}/vxn")
}

/// Where the channel to the guest's PID 1 is published.
pub fn channel(domid: u32) -> String {
    format!("/local/domain/{domid}/vxn/channel")
}

/// The backends of one class (`vbd`, `vif`) that Dom0 has for a domain.
pub fn backends(class: &str, domid: u32) -> String {
    format!("/local/domain/0/backend/{class}/{domid}")
}

/// The backend of one device in Dom0.
pub fn backend(class: &str, domid: u32, devid: u32) -> String {
    format!("/local/domain/0/backend/{class}/{domid}/{devid}")
}

/// Fires whenever a domain shuts down or is gone, whichever it is.
pub const RELEASE_DOMAIN: &str = "@releaseDomain";
