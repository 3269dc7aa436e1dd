//! A container's place in a network namespace that its caller has prepared: the DomU's
//! vifs stand in for the interfaces there.

use std::path::Path;

use vxn_proto::Interface;

use super::ContainerId;
use super::network::{prefix, told};
use crate::libxl::{DomId, Nic};
use crate::network::Result;
use crate::network::namespace::{self, Namespace};

/// The namespace as it was when the container was started.
#[derive(Debug)]
pub struct Place {
    owner: String,
    namespace: Namespace,
    found: Vec<namespace::Interface>,
}

/// Removes what was made in the namespace for a container's DomU, which is gone. A
/// namespace that is gone itself has nothing to be removed.
///
/// # Errors
/// The kernel's.
pub fn clear(path: &Path, id: &ContainerId) -> Result<()> {
    match Namespace::open(path) {
        Ok(namespace) => namespace.untie(&owner(id)),
        Err(e) => {
            tracing::debug!("nothing to remove there: {e}");
            Ok(())
        }
    }
}

impl Place {
    /// Looks at what was prepared.
    ///
    /// # Errors
    /// What no DomU can stand in for; nothing is changed yet.
    pub fn find(path: &Path, id: &ContainerId) -> Result<Place> {
        let namespace = Namespace::open(path)?;
        let found = namespace.interfaces()?;
        Ok(Place { owner: owner(id), namespace, found })
    }

    /// A vif for each interface.
    pub fn nics(&self, hotplug: &Path) -> Vec<Nic> {
        let nic = |interface: &namespace::Interface| Nic {
            mac: Some(interface.mac),
            // Without a word of it, libxl would name one.
            bridge: Some(String::new()),
            script: Some(hotplug.to_owned()),
            ifname: None,
            mtu: Some(interface.mtu),
        };
        self.found.iter().map(nic).collect()
    }

    /// What the guest is told of them.
    pub fn interfaces(&self) -> Vec<Interface> {
        self.found.iter().map(interface).collect()
    }

    /// Ties the DomU's vifs, which it has in the same order, to the interfaces.
    ///
    /// # Errors
    /// When somebody has one already; the kernel's.
    pub fn take(&self, domid: DomId) -> Result<()> {
        for (devid, interface) in self.found.iter().enumerate() {
            self.namespace.tie(&self.owner, &format!("vif{domid}.{devid}"), interface)?;
        }
        Ok(())
    }

    /// Removes what was made for the DomU, which is gone.
    ///
    /// # Errors
    /// The kernel's.
    pub fn leave(&self) -> Result<()> {
        self.namespace.untie(&self.owner)
    }
}

/// How a container's devices are known.
fn owner(id: &ContainerId) -> String {
    format!("container {id}")
}

fn interface(found: &namespace::Interface) -> Interface {
    Interface {
        mac: found.mac.0,
        name: found.name.clone(),
        mtu: found.mtu,
        addresses: found.addresses.iter().map(prefix).collect(),
        routes: found.routes.iter().map(told).collect(),
        neighbours: found.neighbours.iter().map(|(address, mac)| (*address, mac.0)).collect(),
    }
}

#[cfg(test)]
mod tests {
    use vxn_link::Route;

    use super::*;

    #[test]
    fn nothing_is_left_in_a_namespace_that_is_gone() {
        let id = ContainerId::random().unwrap();
        clear(Path::new("/run/netns/nowhere"), &id).unwrap();
        clear(Path::new("/etc/passwd"), &id).unwrap();
    }

    #[test]
    fn a_guest_is_told_what_was_found() {
        let gateway = "10.88.0.1".parse().unwrap();
        let found = namespace::Interface {
            name: "net1".to_owned(),
            index: 2,
            mac: "02:00:00:00:00:07".parse().unwrap(),
            mtu: 1400,
            addresses: vec!["10.88.0.2/16".parse().unwrap()],
            routes: vec![Route { metric: Some(100), ..Route::default_by(gateway) }],
            neighbours: vec![(gateway, "02:00:00:00:00:01".parse().unwrap())],
        };
        let route = vxn_proto::Route {
            destination: ("0.0.0.0".parse().unwrap(), 0),
            gateway: Some(gateway),
            source: None,
            metric: Some(100),
            onlink: false,
        };
        let told = Interface {
            mac: [2, 0, 0, 0, 0, 7],
            name: "net1".to_owned(),
            mtu: 1400,
            addresses: vec![("10.88.0.2".parse().unwrap(), 16)],
            routes: vec![route],
            neighbours: vec![(gateway, [2, 0, 0, 0, 0, 1])],
        };
        assert_eq!(interface(&found), told);
    }
}
