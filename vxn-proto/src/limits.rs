//! What the processes of a container may take of the guest, and do to it.

use serde::{Deserialize, Serialize};

/// docker's default capabilities.
const DEFAULT_CAPABILITIES: [&str; 14] = [
    "CAP_AUDIT_WRITE",
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_MKNOD",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_RAW",
    "CAP_SETFCAP",
    "CAP_SETGID",
    "CAP_SETPCAP",
    "CAP_SETUID",
    "CAP_SYS_CHROOT",
];

/// docker's word for all capabilities.
const ALL: &str = "ALL";

/// Limits inside of the guest; the default is docker's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// Most processes and threads at a time.
    pub pids: Option<u64>,
    /// Resource limits of each process.
    pub ulimits: Vec<Ulimit>,
    /// Size of `/dev/shm` in bytes; `None` is 64 MiB.
    pub shm_bytes: Option<u64>,
    /// Kernel parameters and their values, see sysctl(8).
    pub sysctls: Vec<(String, String)>,
    /// How gladly the kernel kills the processes when memory runs out, -1000 to
    /// 1000.
    pub oom_score_adj: Option<i16>,
}

/// A resource limit of a process, see getrlimit(2).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ulimit {
    /// The resource, as docker calls it: `nofile` is `RLIMIT_NOFILE`.
    pub name: String,
    /// The limit in force; `u64::MAX` is none.
    pub soft: u64,
    /// The most that the process can raise it to.
    pub hard: u64,
}

/// What the processes of a container may do; the default is docker's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Privileges {
    /// Every capability, and nothing of `/proc` and `/sys` hidden or read-only.
    pub privileged: bool,
    /// Capabilities besides docker's, such as `CAP_NET_ADMIN`; `ALL` is all that
    /// the guest's kernel has.
    pub cap_add: Vec<String>,
    /// Capabilities of docker's to go without, or `ALL`.
    pub cap_drop: Vec<String>,
    /// No program gives more privileges than its caller has.
    pub no_new_privileges: bool,
    /// Nothing of `/proc` and `/sys` is hidden or read-only for its path.
    pub unmasked: bool,
}

impl Privileges {
    /// Whether processes may have a capability, such as `CAP_NET_ADMIN`, if the guest's
    /// kernel has it. As docker has it, what is added beats what is dropped, unless all are
    /// added.
    pub fn grants(&self, capability: &str) -> bool {
        let any = |list: &[String], name: &str| list.iter().any(|one| one == name);
        let dropped = any(&self.cap_drop, capability);
        if self.privileged {
            true
        } else if any(&self.cap_add, ALL) {
            !dropped
        } else {
            let default = DEFAULT_CAPABILITIES.contains(&capability);
            let kept = default && !dropped && !any(&self.cap_drop, ALL);
            kept || any(&self.cap_add, capability)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_are_added_and_dropped_as_docker_does() {
        let of = |add: &[&str], drop: &[&str]| {
            let list = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
            let (cap_add, cap_drop) = (list(add), list(drop));
            let privileges = Privileges { cap_add, cap_drop, ..Privileges::default() };
            ["CAP_CHOWN", "CAP_NET_ADMIN"].map(|name| privileges.grants(name))
        };
        assert_eq!(of(&[], &[]), [true, false]);
        assert_eq!(of(&["CAP_NET_ADMIN"], &["CAP_CHOWN"]), [false, true]);
        assert_eq!(of(&["CAP_CHOWN"], &["ALL"]), [true, false]);
        assert_eq!(of(&["CAP_CHOWN"], &["CAP_CHOWN"]), [true, false]);
        assert_eq!(of(&["ALL"], &["ALL"]), [true, true]);
        assert_eq!(of(&["ALL", "CAP_CHOWN"], &["CAP_CHOWN"]), [false, true]);
        let privileged = Privileges { privileged: true, ..Privileges::default() };
        assert!(privileged.grants("CAP_NET_ADMIN"));
    }
}
