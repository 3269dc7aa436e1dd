//! How much of the host's CPUs a domain gets, and which.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

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
