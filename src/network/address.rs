//! Which address a guest gets: the first free one from a place in the range that
//! its owner's id determines. So a container that comes back mostly has the
//! address that it had, and one that has just become free is not given to
//! somebody else while neighbours still take it for the old owner's.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;
use vxn_link::Mac;

use super::seed;

/// Xen's range of hardware addresses (IEEE 00:16:3e).
const XEN: [u8; 3] = [0x00, 0x16, 0x3e];

/// A range as numbers: the first and the last that a host may have.
fn hosts(net: &IpNet) -> (u128, u128) {
    match net {
        // Neither the network's own number nor the broadcast address.
        IpNet::V4(net) => {
            let (low, high) = (net.network().to_bits(), net.broadcast().to_bits());
            (u128::from(low) + 1, u128::from(high) - 1)
        }
        // Neither the routers' anycast address (RFC 4291, 2.6.1) nor those
        // reserved at the top (RFC 2526).
        IpNet::V6(net) => {
            let (low, high) = (net.network().to_bits(), net.broadcast().to_bits());
            (low + 1, if high - low > 256 { high - 128 } else { high })
        }
    }
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_bits().into(),
        IpAddr::V6(address) => address.to_bits(),
    }
}

fn address(number: u128, like: &IpNet) -> IpAddr {
    match like {
        IpNet::V4(_) => IpAddr::V4((number as u32).into()),
        IpNet::V6(_) => IpAddr::V6(number.into()),
    }
}

/// Whether a host on `net` may have the address.
pub(super) fn is_host(net: &IpNet, address: IpAddr) -> bool {
    let (low, high) = hosts(net);
    net.contains(&address) && (low..=high).contains(&number(address))
}

/// A free address of `net` for the owner with that id; `None` when all are taken.
pub(super) fn pick(net: &IpNet, owner: &str, taken: &BTreeSet<IpAddr>) -> Option<IpAddr> {
    let (low, high) = hosts(net);
    let count = high - low + 1;
    let start = u128::from(seed(&["address", owner])) % count;
    // One more than are taken is enough to find a free one.
    let tries = count.min(taken.len() as u128 + 1);
    (0..tries)
        .map(|n| address(low + (start + n) % count, net))
        .find(|candidate| !taken.contains(candidate))
}

/// A hardware address that the owner's id determines, and that is not `taken`.
pub(super) fn mac(owner: &str, network: &str, taken: &BTreeSet<[u8; 6]>) -> Mac {
    let mut attempt = 0_u32;
    loop {
        let [a, b, c, ..] = seed(&["mac", owner, network, &attempt.to_string()]).to_be_bytes();
        let mac = [XEN[0], XEN[1], XEN[2], a, b, c];
        if !taken.contains(&mac) {
            return Mac(mac);
        }
        attempt += 1;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_small_range_is_used_up() {
        for (net, count) in [("192.0.2.0/29", 6), ("fd00::/125", 7)] {
            let net: IpNet = net.parse().unwrap();
            let mut taken = BTreeSet::new();
            for n in 0..count {
                let address = pick(&net, &format!("owner{n}"), &taken).unwrap();
                assert!(is_host(&net, address) && taken.insert(address), "{address}");
            }
            assert_eq!(pick(&net, "one too many", &taken), None);
        }
    }

    #[test]
    fn an_owner_comes_back_to_its_address() {
        let net = "10.144.0.0/16".parse().unwrap();
        let taken = BTreeSet::from(["10.144.0.1".parse().unwrap()]);
        assert_eq!(pick(&net, "web", &taken), pick(&net, "web", &taken));
        assert_ne!(pick(&net, "web", &taken), pick(&net, "db", &taken));
        let first = mac("web", "bridge", &BTreeSet::new());
        assert_eq!(first, mac("web", "bridge", &BTreeSet::new()));
        assert_ne!(first, mac("web", "bridge", &BTreeSet::from([first.0])));
        assert!(first.to_string().starts_with("00:16:3e:"));
    }

    proptest! {
        #[test]
        fn what_is_picked_is_a_host_and_free(
            bits in any::<u32>(),
            length in 8_u8..=30,
            owners in 1_usize..60,
        ) {
            let net = ipnet::Ipv4Net::new(bits.into(), length).unwrap().trunc();
            let net = IpNet::V4(net);
            let mut taken = BTreeSet::new();
            for n in 0..owners {
                match pick(&net, &n.to_string(), &taken) {
                    Some(address) => {
                        prop_assert!(is_host(&net, address));
                        prop_assert!(taken.insert(address));
                    }
                    None => prop_assert_eq!(taken.len(), (1 << (32 - length)) - 2),
                }
            }
        }
    }
}
