//! What Xen's scheduler is told of a domain.
#![expect(unsafe_code)]

use std::collections::BTreeSet;
use std::mem::MaybeUninit;
use std::ptr;

use xen_sys::{
    libxl_bitmap, libxl_bitmap_dispose, libxl_defbool_set, libxl_domain_build_info,
    libxl_domain_sched_params, libxl_domain_sched_params_dispose, libxl_domain_sched_params_init,
    libxl_domain_sched_params_set, libxl_set_vcpuaffinity_all,
};

use super::alloc::zeroed;
use super::{RawCtx, check};
use crate::libxl::{Code, DomId, Scheduling};

/// Fills what a domain is built with; what is not given is libxl's default already.
pub fn fill(info: &mut libxl_domain_build_info, scheduling: &Scheduling, vcpus: u16) {
    fill_params(&mut info.sched_params, scheduling);
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

fn fill_params(params: &mut libxl_domain_sched_params, scheduling: &Scheduling) {
    if let Some(weight) = scheduling.weight {
        params.weight = weight.into();
    }
    if let Some(cap) = scheduling.cap {
        params.cap = cap.into();
    }
}

/// Sets weight and cap; what is not given stays.
pub fn set_params(ctx: &RawCtx, domid: DomId, scheduling: &Scheduling) -> Result<(), Code> {
    let mut raw = MaybeUninit::uninit();
    // SAFETY: the function initialises all of it.
    unsafe { libxl_domain_sched_params_init(raw.as_mut_ptr()) };
    // SAFETY: initialised.
    let mut params: libxl_domain_sched_params = unsafe { raw.assume_init() };
    fill_params(&mut params, scheduling);
    // SAFETY: the context is open, the structure initialised.
    let rc = unsafe { libxl_domain_sched_params_set(ctx.as_ptr(), domid.0, &params) };
    // SAFETY: initialised.
    unsafe { libxl_domain_sched_params_dispose(&mut params) };
    check(rc)
}

/// Sets the hard affinity of the first `vcpus`.
pub fn set_affinity(
    ctx: &RawCtx,
    domid: DomId,
    vcpus: u32,
    cpus: &BTreeSet<u16>,
) -> Result<(), Code> {
    let mut map = bits(cpus);
    // SAFETY: the context is open, the bitmap initialised; no soft affinity is set.
    let rc = unsafe { libxl_set_vcpuaffinity_all(ctx.as_ptr(), domid.0, vcpus, &map, ptr::null()) };
    // SAFETY: initialised, and its memory came from malloc.
    unsafe { libxl_bitmap_dispose(&mut map) };
    check(rc)
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
