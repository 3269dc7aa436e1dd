//! What the processes may do: docker's rules for capabilities.

use caps::CapSet;
use libcontainer::{
    capabilities::CapabilityExt,
    oci_spec::runtime::{Capabilities, Capability, LinuxCapabilities, LinuxCapabilitiesBuilder},
};
use vxn_proto::{Container, Privileges};

use crate::{Error, Result, seccomp};

/// docker's word for all of them.
const ALL: &str = "ALL";

/// The capabilities of a process of the user `uid`. As docker, a user other than root holds
/// none until it executes a file that gives it one.
pub fn capabilities(uid: u32, container: &Container) -> Result<LinuxCapabilities> {
    let bounding = granted(&container.privileges)?;
    let own = if uid == 0 { bounding.clone() } else { Capabilities::new() };
    let held = seccomp::held(own, container);
    let built = LinuxCapabilitiesBuilder::default()
        .bounding(bounding)
        .effective(held.clone())
        .permitted(held)
        .inheritable(Capabilities::new())
        .ambient(Capabilities::new())
        .build();
    built.map_err(|error| Error::Other(format!("cannot name the capabilities: {error}")))
}

/// Those that a process may have at the most. All are those that there are to give:
/// vxn-init's own.
fn granted(privileges: &Privileges) -> Result<Capabilities> {
    privileges.cap_add.iter().chain(&privileges.cap_drop).try_for_each(|name| check(name))?;
    let all = privileges.privileged || privileges.cap_add.iter().any(|name| name == ALL);
    let there = if all {
        let own = caps::read(None, CapSet::Permitted);
        own.map_err(|error| Error::Other(format!("cannot read capabilities: {error}")))?
    } else {
        caps::all()
    };
    let granted = there.into_iter().filter(|one| privileges.grants(&one.to_string()));
    Ok(granted.map(Capability::from_cap).collect())
}

/// Refuses what is no capability.
fn check(name: &str) -> Result<()> {
    let known = name == ALL || name.parse::<caps::Capability>().is_ok();
    if known { Ok(()) } else { Err(Error::Other(format!("unknown capability: {name:?}"))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_granted_is_given() {
        let of = |privileges: Privileges| granted(&privileges).unwrap();
        let own = caps::read(None, CapSet::Permitted).unwrap();
        let own: Capabilities = own.into_iter().map(Capability::from_cap).collect();
        assert_eq!(of(Privileges { privileged: true, ..Privileges::default() }), own);
        let mut less = own.clone();
        less.remove(&Capability::Chown);
        let (cap_add, cap_drop) = (vec!["ALL".into()], vec!["CAP_CHOWN".into()]);
        assert_eq!(of(Privileges { cap_add, cap_drop, ..Privileges::default() }), less);
        let (cap_add, cap_drop) = (vec!["CAP_KILL".into()], vec!["ALL".into()]);
        let one = of(Privileges { cap_add, cap_drop, ..Privileges::default() });
        assert_eq!(one, Capabilities::from([Capability::Kill]));
    }

    #[test]
    fn only_root_holds_capabilities() {
        let (cap_add, cap_drop) = (vec!["CAP_KILL".into()], vec!["ALL".into()]);
        let privileges = Privileges { cap_add, cap_drop, ..Privileges::default() };
        let container = Container { privileges, ..Container::default() };
        let one = Capabilities::from([Capability::Kill]);
        let of = |uid| capabilities(uid, &container).unwrap();
        assert_eq!(of(0).effective().as_ref(), Some(&one));
        assert!(of(1).effective().as_ref().unwrap().is_empty());
        assert_eq!(of(1).bounding().as_ref(), Some(&one));
    }

    #[test]
    fn strangers_are_refused_by_name() {
        let privileges = Privileges { cap_add: vec!["CAP_FLY".into()], ..Privileges::default() };
        let error = granted(&privileges).unwrap_err().to_string();
        assert_eq!(error, "unknown capability: \"CAP_FLY\"");
    }
}
