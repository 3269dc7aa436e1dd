//! What Xen's scheduler is told of a domain.
#![expect(unsafe_code)]

use std::collections::BTreeSet;

use xen_sys::{libxl_bitmap, libxl_defbool_set, libxl_domain_build_info};

use super::alloc::zeroed;
use crate::libxl::Scheduling;

/// Fills what a domain is built with; what is not given is libxl's default already.
pub fn fill(info: &mut libxl_domain_build_info, scheduling: &Scheduling, vcpus: u16) {
    if let Some(weight) = scheduling.weight {
        info.sched_params.weight = weight.into();
    }
    if let Some(cap) = scheduling.cap {
        info.sched_params.cap = cap.into();
    }
    if scheduling.cpus.is_empty() {
        return;
    }
    // SAFETY: a plain structure. libxl shall not place what is placed already.
    unsafe { libxl_defbool_set(&mut info.numa_placement, false) };
    info.vcpu_hard_affinity = zeroed(vcpus.into());
    for vcpu in 0..usize::from(vcpus) {
        // SAFETY: room for all; the count says how many are initialised.
        unsafe { *info.vcpu_hard_affinity.add(vcpu) = bits(&scheduling.cpus) };
        info.num_vcpu_hard_affinity += 1;
    }
}

/// A bitmap with these bits set.
pub fn bits(set: &BTreeSet<u16>) -> libxl_bitmap {
    let size = set.last().map_or(0, |last| u32::from(*last) / 8 + 1);
    let map = zeroed::<u8>(size as usize);
    for &bit in set {
        // SAFETY: inside of `size` bytes, which the highest bit fits into.
        unsafe { *map.add(usize::from(bit) / 8) |= 1 << (bit % 8) };
    }
    libxl_bitmap { size, map }
}
