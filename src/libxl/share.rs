//! Directories of this host that a domain mounts by 9P, over Xen's own transport
//! (`docs/misc/9pfs.pandoc` of Xen).

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use serde::{Deserialize, Serialize};

use super::{Ctx, DomId};
use crate::xenstore::paths;

/// How long QEMU may take to end: libxl sends it a signal and does not wait. In
/// milliseconds.
const PATIENCE: u16 = 10_000;

/// A shared directory (`libxl_device_p9`), with the owners and modes that its files
/// have.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Share {
    /// What the domain mounts it by.
    pub tag: String,
    /// The directory.
    pub path: PathBuf,
}

/// The shared directories of a domain and who serves them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shares {
    /// One process for all of them.
    pub server: ShareServer,
    /// At least one.
    pub shares: Vec<Share>,
}

/// What serves shared directories. libxl starts it with the domain and ends it with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ShareServer {
    /// QEMU as a device model without a machine, at this path.
    Qemu(PathBuf),
    /// Xen's own xen-9pfsd, from Xen 4.19 on: it opens, reads and writes; it does not
    /// remove, rename or link.
    Xen9pfsd,
}

/// Where QEMU is that can serve Xen: Debian's, and that of Xen's own build.
const QEMU: [&str; 4] = [
    "/usr/libexec/xen-qemu-system-i386",
    "/usr/lib/xen/bin/qemu-system-i386",
    "/usr/local/lib/xen/bin/qemu-system-i386",
    "/usr/bin/qemu-system-i386",
];

/// Where Xen's own server is: Debian's, and that of Xen's own build. libxl knows which.
#[cfg(libxl_have = "XEN_9PFS")]
const XEN_9PFSD: [&str; 2] = ["/usr/libexec/xen/bin/xen-9pfsd", "/usr/lib/xen/bin/xen-9pfsd"];

impl ShareServer {
    /// What this host has: QEMU, which does more, before Xen's own. Distributions build
    /// QEMU with and without Xen: `serves_xen` tells of the program at a path.
    pub fn find(serves_xen: impl Fn(&Path) -> bool) -> Option<ShareServer> {
        let there = |path: &&str| Path::new(path).exists();
        let qemu = QEMU.iter().find(|path| there(path) && serves_xen(Path::new(path)));
        let qemu = qemu.map(|path| ShareServer::Qemu(path.into()));
        #[cfg(libxl_have = "XEN_9PFS")]
        let qemu = qemu
            .or_else(|| XEN_9PFSD.iter().any(|path| there(&path)).then_some(ShareServer::Xen9pfsd));
        qemu
    }
}

impl Ctx {
    /// The QEMU of a domain, if libxl has started one: becomes readable when it ends.
    pub(super) fn device_model(&self, domid: DomId) -> Option<OwnedFd> {
        let pid = self.store.read(&paths::device_model_pid(domid.0)).ok()??;
        let pid = Pid::from_raw(String::from_utf8(pid).ok()?.parse().ok()?)?;
        pidfd_open(pid, PidfdFlags::empty()).ok()
    }
}

/// Waits for the end of a QEMU that libxl has told to end.
pub(super) fn wait_end(server: &OwnedFd, domid: DomId) {
    let mut ended = [PollFd::new(server.as_fd(), PollFlags::POLLIN)];
    let mut polled = poll(&mut ended, PATIENCE);
    while polled == Err(Errno::EINTR) {
        polled = poll(&mut ended, PATIENCE);
    }
    if polled != Ok(1) {
        tracing::warn!(%domid, "the QEMU of a destroyed domain is still there after 10 s");
    }
}
