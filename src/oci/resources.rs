//! Limits of a configuration, as those of a DomU. Pure.

use oci_spec::runtime::{Linux, LinuxCpu, LinuxResources};
use vxn_proto::Limits;

use super::Result;
use super::error::refused;
use crate::container::cpu::{Cpu, CpuSet, Cpus};

/// Memory that the guest's kernel and PID 1 have besides the container's own, in KiB.
const OVERHEAD_KIB: u64 = 96 << 10;
/// Linux's period where none is given, in microseconds.
const PERIOD: u64 = 100_000;

/// The memory of a DomU in KiB, if there is a limit: the container's and its kernel's.
pub fn memory_kib(resources: Option<&LinuxResources>) -> Option<u64> {
    let limit = resources?.memory().as_ref()?.limit()?;
    let bytes = u64::try_from(limit).ok().filter(|&bytes| bytes > 0)?;
    Some((bytes / 1024).saturating_add(OVERHEAD_KIB))
}

/// What the DomU may use of the host's CPUs.
///
/// # Errors
/// A quota or a set of CPUs that makes no sense.
pub fn cpu(resources: Option<&LinuxResources>) -> Result<Cpu> {
    let Some(cpu) = resources.and_then(|resources| resources.cpu().as_ref()) else {
        return Ok(Cpu::default());
    };
    let shares = cpu.shares().filter(|&shares| shares > 0);
    let set = match cpu.cpus().as_deref() {
        None | Some("") => CpuSet::default(),
        Some(text) => text
            .parse()
            .map_err(|_| refused(format!("resources.cpu.cpus {text:?}"), "it is no set of CPUs"))?,
    };
    Ok(Cpu {
        cpus: quota(cpu)?,
        shares: shares.map(|shares| u32::try_from(shares).unwrap_or(u32::MAX)),
        set,
    })
}

fn quota(cpu: &LinuxCpu) -> Result<Option<Cpus>> {
    let Some(quota) = cpu.quota().and_then(|quota| u64::try_from(quota).ok()) else {
        return Ok(None);
    };
    if quota == 0 {
        return Ok(None);
    }
    let period = cpu.period().filter(|&period| period > 0).unwrap_or(PERIOD);
    let cpus = Cpus::of_quota(quota, period);
    let what = || format!("resources.cpu.quota {quota} of {period}");
    cpus.map(Some).map_err(|_| refused(what(), "a DomU has from 0.01 to 128 CPUs"))
}

/// What the guest is told: its own limits, and parameters of its kernel.
pub fn limits(linux: Option<&Linux>, of_process: Limits) -> Limits {
    let resources = linux.and_then(|linux| linux.resources().as_ref());
    let pids = resources.and_then(|resources| resources.pids().as_ref()).map(|pids| pids.limit());
    let sysctls = linux.and_then(|linux| linux.sysctl().clone()).unwrap_or_default();
    let mut sysctls: Vec<(String, String)> = sysctls.into_iter().collect();
    sysctls.sort();
    Limits {
        pids: pids.and_then(|pids| u64::try_from(pids).ok()).filter(|&pids| pids > 0),
        sysctls,
        ..of_process
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resources(text: &str) -> LinuxResources {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn the_kernel_has_memory_of_its_own() {
        let kib = |text| memory_kib(Some(&resources(text)));
        assert_eq!(kib(r#"{"memory": {"limit": 104857600}}"#), Some(102_400 + OVERHEAD_KIB));
        assert_eq!(kib(r#"{"memory": {"limit": -1}}"#), None);
        assert_eq!(kib(r#"{"memory": {"limit": 0}}"#), None);
        assert_eq!(kib("{}"), None);
    }

    #[test]
    fn a_quota_is_a_number_of_cpus() {
        let of = |text| cpu(Some(&resources(text)));
        let half = of(r#"{"cpu": {"quota": 50000, "period": 100000, "shares": 512}}"#).unwrap();
        assert_eq!((half.cpus.unwrap().nano(), half.shares), (500_000_000, Some(512)));
        assert_eq!(of(r#"{"cpu": {"quota": -1, "shares": 0}}"#).unwrap(), Cpu::default());
        assert_eq!(of(r#"{"cpu": {"cpus": "0-1"}}"#).unwrap().set, "0-1".parse().unwrap());
        assert!(of(r#"{"cpu": {"quota": 1, "period": 1000000}}"#).is_err());
        assert!(of(r#"{"cpu": {"cpus": "x"}}"#).is_err());
    }
}
