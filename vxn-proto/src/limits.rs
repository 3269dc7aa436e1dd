//! What the processes of a container may take of the guest, and do to it.

use serde::{Deserialize, Serialize};

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
