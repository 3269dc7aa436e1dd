//! What a domain is made of.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{Disk, Nic, Scheduling, Shares, Uuid};

/// How a domain is virtualised (`libxl_domain_type`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GuestType {
    /// Paravirtualised: works on every x86 host, needs a kernel that can.
    Pv,
    /// Hardware-virtualised without emulated devices; needs hvm and hap.
    Pvh,
}

/// What a toolstack shall do when a domain ends (`libxl_action_on_shutdown`).
/// libxl only stores it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// Destroy the domain.
    #[default]
    Destroy,
    /// Destroy it and create it again.
    Restart,
    /// Keep it under another name and create it again.
    RenameRestart,
    /// Keep it as it is.
    Preserve,
    /// Write its memory to a file, then destroy it.
    CoredumpDestroy,
    /// Write its memory to a file, then restart it.
    CoredumpRestart,
}

/// A domain to be created (`libxl_domain_config`). It gets no emulated device, and QEMU
/// only to serve directories where that is what serves them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DomainConfig {
    /// Unique among the domains of the host. libxl checks that, but not against a
    /// creation at the same time.
    pub name: String,
    /// Never given twice.
    pub uuid: Uuid,
    /// PV or PVH.
    pub guest_type: GuestType,
    /// Memory in KiB, all of it present from the start.
    pub memory_kib: u64,
    /// Virtual CPUs, all online from the start.
    pub vcpus: u32,
    /// Its part of the host's CPUs.
    pub scheduling: Scheduling,
    /// The kernel; see `libxl_domain_build_info.kernel`.
    pub kernel: PathBuf,
    /// The initial RAM disk.
    pub ramdisk: Option<PathBuf>,
    /// The kernel's command line.
    pub cmdline: String,
    /// Disks, attached before the domain can run.
    pub disks: Vec<Disk>,
    /// Network interfaces, attached before the domain can run.
    pub nics: Vec<Nic>,
    /// Directories of this host, served from before the domain can run.
    pub shares: Option<Shares>,
    /// Keys and values written below `/local/domain/N/` in the transaction that
    /// creates the domain. The domain can read but not write them.
    pub xsdata: Vec<(String, String)>,
    /// When it powers itself off.
    pub on_poweroff: Action,
    /// When it reboots.
    pub on_reboot: Action,
    /// When it crashes, or its watchdog fires.
    pub on_crash: Action,
}
