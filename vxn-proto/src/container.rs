//! What a container may and may not do, besides its root file system.

use serde::{Deserialize, Serialize};

use crate::{Limits, Privileges, Seccomp};

/// Settings of the whole container; the default is docker's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Container {
    /// Nothing may be written to the root file system.
    pub read_only: bool,
    /// File systems in the guest's memory, mounted over the root's.
    pub tmpfs: Vec<Tmpfs>,
    /// What its processes may take.
    pub limits: Limits,
    /// What its processes may do.
    pub privileges: Privileges,
    /// Groups that its processes are in besides those of their users, each a name of the
    /// image's own group file or a number.
    pub groups: Vec<String>,
    /// Its NIS domain name, see setdomainname(2); empty leaves the kernel's.
    pub domainname: String,
    /// Block devices of the guest, `xvdc`, that it has itself, each in its `/dev`.
    pub disks: Vec<String>,
    /// What system calls its processes may make; `None` is all.
    pub seccomp: Option<Seccomp>,
}

/// A file system in the guest's memory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tmpfs {
    /// Where it is mounted, an absolute path of the container.
    pub path: String,
    /// Mount options as mount(8) knows them.
    pub options: Vec<String>,
}
