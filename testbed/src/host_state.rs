//! What a run of vxn could leave behind in Dom0.

use std::collections::BTreeSet;
use std::fmt;

use anyhow::Result;

use crate::dom0::Dom0;

/// Each kind of thing, and the script that lists those there are, one per line.
const KINDS: &[(&str, &str)] = &[
    ("domain", "xl list | awk 'NR > 1 { print $1, $2 }'"),
    ("loop device", "losetup --noheadings --list --output NAME,BACK-FILE"),
    ("network interface", "ls /sys/class/net"),
    ("mount", "cut -d' ' -f1-3 /proc/self/mounts"),
    (
        "backend",
        "xenstore-ls -f /local/domain/0/backend | grep -oE '^/[^ ]+/v[a-z]+/[0-9]+/[0-9]+ '",
    ),
    ("domain in xenstore", "xenstore-list /local/domain; xenstore-list /libxl; xenstore-list /vm"),
    ("file of libxl", "find /var/lib/xen -type f"),
    ("file of vxn", "find /run/vxn /var/lib/vxn/tmp -mindepth 1"),
    ("container", "find /var/lib/vxn/containers /var/lib/vxn/names -mindepth 1 -maxdepth 1"),
    (
        "container of an OCI caller",
        "find /var/lib/vxn/oci/containers /var/lib/vxn/oci/names -mindepth 1 -maxdepth 1; \
         find /var/lib/vxn/oci/tmp -mindepth 1",
    ),
    ("volume", "find /var/lib/vxn/volumes -mindepth 1 -maxdepth 1 -type d"),
    ("volume", "find /var/lib/vxn/volumes -mindepth 1 -maxdepth 1"),
    ("nftables rule", "nft --stateless list ruleset"),
    ("owner of a lease", "grep -oE '\"(id|owner)\": *\"[^\"]*\"' /run/vxn/network/leases.json"),
    (
        "process",
        "ps -C vxn,vxn-oci-runtime,vxn-hotplug,xl,skopeo,sqfstar,mksquashfs,mkfs.erofs,conmon,\
         containerd-shim,xen-qemu-system -o pid=,args=",
    ),
];

/// A snapshot of everything that a run of vxn could leave behind; two are equal
/// if nothing was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostState {
    /// A line per thing: its kind, a colon, what it is.
    things: BTreeSet<String>,
}

impl HostState {
    /// Looks at `dom0` as it is now.
    pub fn of(dom0: &Dom0) -> Result<Self> {
        let list = |(kind, script): &(&str, &str)| {
            format!("{{ {script}; }} 2>/dev/null | sed 's|^|{kind}: |'\n")
        };
        let script: String = KINDS.iter().map(list).collect();
        let output = dom0.shell(&script)?.success()?;
        let things = String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect();
        Ok(Self { things })
    }

    /// What differs between `self` and a `later` state; nothing if they are equal.
    pub fn difference(&self, later: &Self) -> Difference {
        Difference {
            added: later.things.difference(&self.things).cloned().collect(),
            removed: self.things.difference(&later.things).cloned().collect(),
        }
    }
}

/// The difference of two states, readable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Lines only in the later one.
    pub added: Vec<String>,
    /// Lines only in the earlier one.
    pub removed: Vec<String>,
}

impl Difference {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty()
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let added = self.added.iter().map(|line| ('+', line));
        let removed = self.removed.iter().map(|line| ('-', line));
        added.chain(removed).try_for_each(|(sign, line)| writeln!(f, "{sign} {line}"))
    }
}
