//! What the processes may take of the guest: docker's words, and the kernel's.

use std::{
    collections::HashMap,
    fs::{self, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
};

use libcontainer::oci_spec::{
    OciSpecError,
    runtime::{PosixRlimit, PosixRlimitBuilder, PosixRlimitType},
};
use vxn_proto::{Limits, Ulimit};

use crate::{Error, Result, error::Context, spec::CGROUP};

/// Where the container's control group is mounted in the guest.
const CGROUPS: &str = "/sys/fs/cgroup";

/// Parameters that each namespace of the container has for itself.
const OF_NAMESPACES: [&str; 9] = [
    "kernel.domainname",
    "kernel.msgmax",
    "kernel.msgmnb",
    "kernel.msgmni",
    "kernel.sem",
    "kernel.shm_rmid_forced",
    "kernel.shmall",
    "kernel.shmmax",
    "kernel.shmmni",
];

/// The resource limits for libcontainer.
pub fn rlimits(limits: &Limits) -> Result<Vec<PosixRlimit>> {
    limits.ulimits.iter().map(rlimit).collect()
}

fn rlimit(Ulimit { name, soft, hard }: &Ulimit) -> Result<PosixRlimit> {
    let kind: PosixRlimitType = format!("RLIMIT_{}", name.to_uppercase())
        .parse()
        .map_err(|_| Error::Other(format!("invalid ulimit type: {name}")))?;
    let built = PosixRlimitBuilder::default().typ(kind).soft(*soft).hard(*hard).build();
    built.map_err(|error: OciSpecError| Error::Other(format!("ulimit {name}: {error}")))
}

/// Limits the processes of the control group `cgroup`. libcontainer would do so
/// earlier, with two processes of its own in the group.
pub fn limit_pids(cgroup: &str, pids: u64) -> Result<()> {
    let file = format!("{CGROUPS}{cgroup}/pids.max");
    fs::write(&file, pids.to_string()).context(format_args!("write {pids} to {file}"))
}

/// Processes and threads in the control group `cgroup`, which is there from the first
/// process on. A kernel that does not count them lists them.
pub fn tasks(cgroup: &str) -> u64 {
    let read = |file| fs::read_to_string(format!("{CGROUPS}{cgroup}/{file}")).ok();
    let count = read("pids.current").and_then(|count| count.trim().parse().ok());
    let listed = || read("cgroup.threads").map(|list| list.lines().count() as u64);
    count.or_else(listed).unwrap_or(0)
}

/// A file of the container's control group.
pub fn control_file(name: &str) -> String {
    format!("{CGROUPS}{CGROUP}/{name}")
}

/// The kernel parameters that libcontainer has to set, from inside.
pub fn inner_sysctls(limits: &Limits) -> HashMap<String, String> {
    let inner = limits.sysctls.iter().filter(|(key, _)| is_inner(key));
    inner.map(|(key, value)| (dotted(key), value.clone())).collect()
}

/// Sets the other kernel parameters: the guest's kernel is the container's own.
pub fn set_outer_sysctls(limits: &Limits) -> Result<()> {
    for (key, value) in limits.sysctls.iter().filter(|(key, _)| !is_inner(key)) {
        let file = Path::new("/proc/sys").join(path(key));
        let mut open = OpenOptions::new();
        open.write(true)
            .open(&file)
            .and_then(|mut file| file.write_all(value.as_bytes()))
            .context(format_args!("set the kernel parameter {key} to {value:?}"))?;
    }
    Ok(())
}

fn is_inner(key: &str) -> bool {
    let key = dotted(key);
    OF_NAMESPACES.contains(&key.as_str()) || key.starts_with("fs.mqueue.")
}

/// The key with dots for separators.
fn dotted(key: &str) -> String {
    path(key).to_string_lossy().replace('/', ".")
}

/// The file of a key, below `/proc/sys`. As sysctl(8), whichever of dot and slash
/// comes first is the separator, and the other one stands for it.
fn path(key: &str) -> PathBuf {
    let swap = |c| match c {
        '.' => '/',
        '/' => '.',
        other => other,
    };
    match key.find(['.', '/']).map(|at| key.as_bytes()[at]) {
        Some(b'.') => key.chars().map(swap).collect::<String>().into(),
        _ => key.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_as_sysctl_reads_it() {
        for (key, file) in [
            ("net.ipv4.ip_forward", "net/ipv4/ip_forward"),
            ("net.ipv4.conf.eth0/1.mtu", "net/ipv4/conf/eth0.1/mtu"),
            ("net/ipv4/conf/eth0.1/mtu", "net/ipv4/conf/eth0.1/mtu"),
        ] {
            assert_eq!(path(key), Path::new(file));
        }
    }

    #[test]
    fn parameters_are_set_where_they_count() {
        for key in ["kernel.shmmax", "kernel/msgmax", "fs.mqueue.msg_max", "kernel.domainname"] {
            assert!(is_inner(key), "{key}");
        }
        for key in ["net.core.somaxconn", "vm.swappiness", "kernel.pid_max", "fs.file-max"] {
            assert!(!is_inner(key), "{key}");
        }
    }

    #[test]
    fn ulimits_have_dockers_names() {
        let limit = |name: &str| rlimit(&Ulimit { name: name.into(), soft: 1, hard: u64::MAX });
        let nofile = limit("nofile").unwrap();
        assert_eq!(nofile.typ(), PosixRlimitType::RlimitNofile);
        assert_eq!((nofile.soft(), nofile.hard()), (1, u64::MAX));
        let error = limit("files").unwrap_err().to_string();
        assert_eq!(error, "invalid ulimit type: files");
    }
}
