//! How much of the host's CPUs a domain gets, and which.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{Ctx, DomId, Result, ffi};

/// What Xen's scheduler is told of a domain (`libxl_domain_sched_params`, and the
/// hard affinity of its virtual CPUs). The default is Xen's own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scheduling {
    /// The domain's weight when CPUs are contended for, 1 to 65535; Xen gives 256.
    pub weight: Option<u16>,
    /// Most CPU time in percent of one CPU; 0 is no limit.
    pub cap: Option<u16>,
    /// The host's CPUs that its virtual CPUs may run on; empty is all.
    pub cpus: BTreeSet<u16>,
}

impl Ctx {
    /// Changes the scheduling of a domain with `vcpus` virtual CPUs
    /// (`libxl_domain_sched_params_set`, `libxl_set_vcpuaffinity_all`). What is not
    /// given stays as it is.
    pub fn schedule(&self, domid: DomId, scheduling: &Scheduling, vcpus: u32) -> Result<()> {
        if scheduling.weight.is_some() || scheduling.cap.is_some() {
            self.run(format_args!("set weight and cap of domain {domid}"), |ctx| {
                ffi::set_params(ctx, domid, scheduling)
            })?;
        }
        if scheduling.cpus.is_empty() {
            return Ok(());
        }
        self.run(format_args!("set the CPUs of domain {domid}"), |ctx| {
            ffi::set_affinity(ctx, domid, vcpus, &scheduling.cpus)
        })
    }
}
