//! What the processes may do: docker's rules for capabilities.

use caps::CapSet;
use libcontainer::{
    capabilities::CapabilityExt,
    oci_spec::runtime::{Capabilities, Capability},
};
use vxn_proto::Privileges;

use crate::{Error, Result};

/// docker's default capabilities.
const DEFAULT: [Capability; 14] = [
    Capability::AuditWrite,
    Capability::Chown,
    Capability::DacOverride,
    Capability::Fowner,
    Capability::Fsetid,
    Capability::Kill,
    Capability::Mknod,
    Capability::NetBindService,
    Capability::NetRaw,
    Capability::Setfcap,
    Capability::Setgid,
    Capability::Setpcap,
    Capability::Setuid,
    Capability::SysChroot,
];

/// docker's word for all of them.
const ALL: &str = "ALL";

/// The capabilities that a process may have at the most. As docker has it, what is
/// added beats what is dropped, unless all are added.
pub fn capabilities(privileges: &Privileges) -> Result<Capabilities> {
    let (add, drop) = (named(&privileges.cap_add)?, named(&privileges.cap_drop)?);
    let any_all = |list: &[String]| list.iter().any(|name| name == ALL);
    Ok(if privileges.privileged {
        own()?
    } else if any_all(&privileges.cap_add) {
        own()?.difference(&drop).copied().collect()
    } else if any_all(&privileges.cap_drop) {
        add
    } else {
        let kept = DEFAULT.into_iter().filter(|capability| !drop.contains(capability));
        kept.chain(add).collect()
    })
}

/// All that there are to give: those of vxn-init itself.
fn own() -> Result<Capabilities> {
    let own = caps::read(None, CapSet::Permitted);
    let own = own.map_err(|error| Error::Other(format!("cannot read capabilities: {error}")))?;
    Ok(own.into_iter().map(Capability::from_cap).collect())
}

/// Those of a list that have a name of their own.
fn named(list: &[String]) -> Result<Capabilities> {
    let parse = |name: &String| {
        let unknown = |_| Error::Other(format!("unknown capability: {name:?}"));
        name.strip_prefix("CAP_").unwrap_or(name).parse().map_err(unknown)
    };
    list.iter().filter(|name| *name != ALL).map(parse).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(add: &[&str], drop: &[&str]) -> Capabilities {
        let list = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let (cap_add, cap_drop) = (list(add), list(drop));
        capabilities(&Privileges { cap_add, cap_drop, ..Privileges::default() }).unwrap()
    }

    fn set(list: &[Capability]) -> Capabilities {
        list.iter().copied().collect()
    }

    #[test]
    fn capabilities_are_added_and_dropped_as_docker_does() {
        use Capability::{Chown, Kill, NetAdmin, NetRaw};
        assert_eq!(with(&[], &[]), set(&DEFAULT));
        assert_eq!(with(&["CAP_CHOWN"], &["ALL"]), set(&[Chown]));
        assert_eq!(with(&[], &["ALL"]), set(&[]));
        let some = with(&["CAP_NET_ADMIN", "CAP_KILL"], &["CAP_NET_RAW", "CAP_KILL"]);
        assert_eq!(some.len(), DEFAULT.len());
        assert!(some.is_superset(&set(&[NetAdmin, Kill])) && !some.contains(&NetRaw));
        let mut all = with(&["ALL"], &["ALL"]);
        assert_eq!(all, own().unwrap());
        all.remove(&Chown);
        assert_eq!(with(&["ALL", "CAP_CHOWN"], &["CAP_CHOWN"]), all);
    }

    #[test]
    fn privileged_is_everything() {
        let privileges = Privileges { privileged: true, ..Privileges::default() };
        assert_eq!(capabilities(&privileges).unwrap(), with(&["ALL"], &[]));
    }

    #[test]
    fn strangers_are_refused_by_name() {
        let privileges = Privileges { cap_add: vec!["CAP_FLY".into()], ..Privileges::default() };
        let error = capabilities(&privileges).unwrap_err().to_string();
        assert_eq!(error, "unknown capability: \"CAP_FLY\"");
    }
}
