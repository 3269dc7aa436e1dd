//! What a network is: its name, bridge and address ranges. Kept as a list in a
//! file that survives a reboot; the default network is made of the settings.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use serde::{Deserialize, Serialize};

use super::error::{Error, Result};
use super::seed;

/// docker's name of the network that a container is on if it names none.
pub const DEFAULT: &str = "bridge";

/// docker's names for what is no network of ours.
const RESERVED: [&str; 4] = ["none", "host", "default", "container"];

/// Most bytes of a network device's name (`IFNAMSIZ` less the NUL).
pub const MAX_DEVICE_NAME: usize = 15;

/// A network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    /// Its name.
    pub name: String,
    /// Its bridge in Dom0.
    pub bridge: String,
    /// Where its IPv4 addresses come from.
    pub subnet: Ipv4Net,
    /// The bridge's own address, through which guests reach the world.
    pub gateway: Ipv4Addr,
    /// Where its IPv6 addresses come from; its first address is the bridge's.
    pub subnet6: Option<Ipv6Net>,
    /// Whether it is cut off from everything but this host.
    #[serde(default)]
    pub internal: bool,
    /// MTU of the bridge and of the guests' interfaces.
    #[serde(default)]
    pub mtu: Option<u32>,
    /// The user's own words.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Seconds since 1970; 0 for the default network.
    #[serde(default)]
    pub created: u64,
}

/// What the user says of a new network; the rest is chosen.
#[derive(Debug, Clone, Default)]
pub struct NewNetwork {
    /// Its name.
    pub name: String,
    /// Its bridge; made up of the name if there is none.
    pub bridge: Option<String>,
    /// Its IPv4 range.
    pub subnet: Option<Ipv4Net>,
    /// Its IPv6 range.
    pub subnet6: Option<Ipv6Net>,
    /// The bridge's IPv4 address.
    pub gateway: Option<Ipv4Addr>,
    /// Whether it is cut off.
    pub internal: bool,
    /// MTU in bytes.
    pub mtu: Option<u32>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
}

/// The settings of the default network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Defaults {
    /// Its bridge.
    pub bridge: String,
    /// Its IPv4 range.
    pub subnet: Ipv4Net,
    /// Its IPv6 range.
    pub subnet6: Ipv6Net,
}

impl Default for Defaults {
    fn default() -> Defaults {
        let subnet = Ipv4Net::new_assert(Ipv4Addr::new(10, 144, 0, 0), 16);
        Defaults { bridge: "xenbr0".to_owned(), subnet, subnet6: matching(subnet) }
    }
}

impl Network {
    /// The default network.
    ///
    /// # Errors
    /// When the settings do not make one.
    pub fn predefined(defaults: &Defaults) -> Result<Network> {
        let network = Network {
            name: DEFAULT.to_owned(),
            bridge: defaults.bridge.clone(),
            subnet: defaults.subnet.trunc(),
            gateway: first(defaults.subnet),
            subnet6: Some(defaults.subnet6.trunc()),
            internal: false,
            mtu: None,
            labels: BTreeMap::new(),
            created: 0,
        };
        network.check(&[]).map(|()| network)
    }

    /// A new one among `others`, on a host that has a way to `connected`.
    ///
    /// # Errors
    /// When something of it is taken already or cannot be.
    pub fn new(
        new: NewNetwork,
        others: &[Network],
        connected: &[IpNet],
        now: u64,
    ) -> Result<Network> {
        check_name(&new.name)?;
        if others.iter().any(|other| other.name == new.name) {
            return Err(Error::Exists(new.name));
        }
        let subnet = match new.subnet {
            Some(subnet) => subnet.trunc(),
            None => free_subnet(others, connected)?,
        };
        let network = Network {
            bridge: new.bridge.unwrap_or_else(|| device_name(&new.name)),
            gateway: new.gateway.unwrap_or_else(|| first(subnet)),
            subnet6: Some(new.subnet6.unwrap_or_else(|| matching(subnet)).trunc()),
            name: new.name,
            subnet,
            internal: new.internal,
            mtu: new.mtu,
            labels: new.labels,
            created: now,
        };
        network.check(others)?;
        Ok(network)
    }

    fn check(&self, others: &[Network]) -> Result<()> {
        check_device(&self.bridge)?;
        if let Some(other) = others.iter().find(|other| other.bridge == self.bridge) {
            let (bridge, name) = (&self.bridge, &other.name);
            return Err(Error::Exists(format!("{name} (with bridge {bridge})")));
        }
        for net in self.nets() {
            let bad = |why: String| Error::BadSubnet { net, why };
            if net.max_prefix_len() - net.prefix_len() < 2 {
                return Err(bad("it is too small".to_owned()));
            }
            let taken = |other: &&Network| other.nets().any(|theirs| overlap(&net, &theirs));
            if let Some(other) = others.iter().find(taken) {
                return Err(bad(format!("it overlaps with network {}", other.name)));
            }
        }
        let inside = self.subnet.contains(&self.gateway)
            && ![self.subnet.network(), self.subnet.broadcast()].contains(&self.gateway);
        if inside {
            return Ok(());
        }
        let why = format!("the gateway {} is no host's address in it", self.gateway);
        Err(Error::BadSubnet { net: self.subnet.into(), why })
    }

    /// The bridge's own addresses.
    pub fn gateways(&self) -> impl Iterator<Item = IpNet> + use<> {
        let v4 = Ipv4Net::new_assert(self.gateway, self.subnet.prefix_len());
        let v6 = self.subnet6.map(|net| Ipv6Net::new_assert(first6(net), net.prefix_len()));
        [Some(IpNet::V4(v4)), v6.map(IpNet::V6)].into_iter().flatten()
    }

    /// The address ranges.
    pub fn nets(&self) -> impl Iterator<Item = IpNet> + use<> {
        [Some(IpNet::V4(self.subnet)), self.subnet6.map(IpNet::V6)].into_iter().flatten()
    }
}

/// Whether two ranges have an address in common.
pub(super) fn overlap(a: &IpNet, b: &IpNet) -> bool {
    a.contains(b) || b.contains(a)
}

fn first(net: Ipv4Net) -> Ipv4Addr {
    Ipv4Addr::from_bits(net.network().to_bits().saturating_add(1))
}

fn first6(net: Ipv6Net) -> Ipv6Addr {
    Ipv6Addr::from_bits(net.network().to_bits().saturating_add(1))
}

/// The IPv6 range that goes with an IPv4 range: unique local addresses (RFC 4193)
/// under fd76:786e ("vxn"), numbered by the first three bytes of the IPv4 range.
fn matching(subnet: Ipv4Net) -> Ipv6Net {
    let [a, b, c, _] = subnet.network().octets();
    let words = [0xfd76, 0x786e, u16::from(a), u16::from_be_bytes([b, c]), 0, 0, 0, 0];
    Ipv6Net::new_assert(Ipv6Addr::from(words), 64)
}

/// 10.145.0.0/24 and on, to 10.159.255.0/24: away from docker's and podman's.
fn free_subnet(others: &[Network], connected: &[IpNet]) -> Result<Ipv4Net> {
    let taken: Vec<IpNet> =
        others.iter().flat_map(Network::nets).chain(connected.iter().copied()).collect();
    (145..=159_u8)
        .flat_map(|b| (0..=255).map(move |c| Ipv4Addr::new(10, b, c, 0)))
        .map(|address| Ipv4Net::new_assert(address, 24))
        .find(|net| !taken.iter().any(|taken| overlap(&(*net).into(), taken)))
        .ok_or(Error::NoSubnet)
}

fn check_name(name: &str) -> Result<()> {
    let good = |b: u8| b.is_ascii_alphanumeric() || b"_.-".contains(&b);
    let bad = |why| Err(Error::BadName(name.to_owned(), why));
    if !name.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric()) || !name.bytes().all(good) {
        return bad("only [a-zA-Z0-9][a-zA-Z0-9_.-]* is");
    }
    if name.len() > 128 {
        return bad("it is longer than 128 characters");
    }
    if RESERVED.contains(&name) {
        return bad("the word means something else");
    }
    Ok(())
}

/// What the kernel takes as the name of a device (`dev_valid_name`), and what
/// stands in a ruleset between quotes.
fn check_device(name: &str) -> Result<()> {
    let good = |b: u8| b.is_ascii_alphanumeric() || b"_.-".contains(&b);
    if name.is_empty() || name.len() > MAX_DEVICE_NAME || name.starts_with('.') {
        return Err(Error::BadName(name.to_owned(), "a bridge's has 1 to 15 characters"));
    }
    if !name.bytes().all(good) {
        return Err(Error::BadName(name.to_owned(), "a bridge's has letters, digits, _ . -"));
    }
    Ok(())
}

/// docker's way: `br-` and twelve digits that the name determines.
fn device_name(name: &str) -> String {
    format!("br-{:012x}", seed(&["bridge", name]) & 0xffff_ffff_ffff)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new(name: &str) -> NewNetwork {
        NewNetwork { name: name.to_owned(), ..NewNetwork::default() }
    }

    fn others() -> Vec<Network> {
        vec![Network::predefined(&Defaults::default()).unwrap()]
    }

    #[test]
    fn a_network_gets_what_is_free() {
        let mut all = others();
        for n in 0..300 {
            let network = Network::new(new(&format!("n{n}")), &all, &[], 7).unwrap();
            assert_eq!(network.subnet.prefix_len(), 24);
            assert_eq!(network.subnet.network().to_bits() + 1, network.gateway.to_bits());
            assert!(network.bridge.len() == MAX_DEVICE_NAME, "{}", network.bridge);
            all.push(network);
        }
        assert_eq!(all[300].subnet.to_string(), "10.146.43.0/24");
        assert_eq!(all[300].subnet6.unwrap().to_string(), "fd76:786e:a:922b::/64");
        let connected = ["10.145.0.0/16".parse().unwrap()];
        let away = Network::new(new("away"), &others(), &connected, 7).unwrap();
        assert_eq!(away.subnet.to_string(), "10.146.0.0/24");
        assert!(matches!(Network::new(new("n5"), &all, &[], 7), Err(Error::Exists(_))));
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let subnet = |text: &str| NewNetwork { subnet: Some(text.parse().unwrap()), ..new("n") };
        let refused =
            |new: NewNetwork| Network::new(new, &others(), &[], 0).unwrap_err().to_string();
        assert!(refused(subnet("10.144.7.0/24")).contains("overlaps with network bridge"));
        assert!(refused(subnet("192.0.2.0/31")).contains("too small"));
        let gateway =
            |ip: &str| NewNetwork { gateway: Some(ip.parse().unwrap()), ..subnet("192.0.2.0/24") };
        for ip in ["192.0.3.1", "192.0.2.0", "192.0.2.255"] {
            assert!(refused(gateway(ip)).contains("no host's address"), "{ip}");
        }
        assert!(Network::new(gateway("192.0.2.254"), &others(), &[], 0).is_ok());
        let quote = Defaults { bridge: "a\"b".to_owned(), ..Defaults::default() };
        assert!(matches!(Network::predefined(&quote), Err(Error::BadName(..))));
        for name in ["", "none", "host", "-a", "a b", "a/b", "\"", &"n".repeat(129)] {
            assert!(matches!(Network::new(new(name), &others(), &[], 0), Err(Error::BadName(..))));
        }
        for bridge in ["", "sixteen-letters-", "a b", "a\"", "a/b", ".."] {
            let new = NewNetwork { bridge: Some(bridge.to_owned()), ..new("n") };
            assert!(matches!(Network::new(new, &others(), &[], 0), Err(Error::BadName(..))));
        }
        let taken = NewNetwork { bridge: Some("xenbr0".to_owned()), ..new("n") };
        assert!(refused(taken).contains("network with name bridge (with bridge xenbr0)"));
    }
}
