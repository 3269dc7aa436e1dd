//! The host and its hypervisor.

use serde::Serialize;

use super::{Ctx, Result, ffi};

/// What the hypervisor says of itself and the machine (`libxl_version_info`,
/// `libxl_physinfo`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct HostInfo {
    /// Version of Xen, such as `4.17.5`.
    pub xen_version: String,
    /// The command line of Xen, which has `dom0_mem` and the like.
    pub commandline: String,
    /// Hardware-virtualised domains can be made.
    pub hvm: bool,
    /// Paravirtualised domains can be made.
    pub pv: bool,
    /// The hardware can translate addresses twice, which PVH needs here.
    pub hap: bool,
    /// Memory of the machine in KiB.
    pub total_memory_kib: u64,
    /// Memory that nobody has, in KiB.
    pub free_memory_kib: u64,
    /// CPUs online.
    pub nr_cpus: u32,
    /// The highest number of a CPU.
    pub max_cpu: u32,
}

impl Ctx {
    /// Asks the hypervisor what it is and has (`libxl_get_version_info`,
    /// `libxl_get_physinfo`).
    pub fn host(&self) -> Result<HostInfo> {
        self.run(format_args!("ask the hypervisor what it is"), ffi::host)
    }
}
