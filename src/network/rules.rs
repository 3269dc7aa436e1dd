//! The ruleset that a state asks for, as `nft -f` reads it. Pure.
//!
//! It replaces all rules of one table of ours in one transaction, so that a
//! packet meets the old rules or the new ones, and whatever was left is gone.
//! Names of bridges and numbers are all that stands in it: both were checked
//! when they were read.

use std::fmt::Write;
use std::net::IpAddr;

use super::leases::{Active, Lease, State};
use super::port::Forward;

/// Takes the table away, whether it is there or not.
const NOTHING: &str = "add table inet vxn\ndelete table inet vxn\n";

/// The chains. `output` is for what comes from this host itself. netfilter knows
/// the priority of destination NAT by name in `prerouting` only. Linux routes
/// 127.0.0.1 out of the host when told to, ::1 never: who asks there is to be
/// refused at once, and tries the other.
const CHAINS: &str = "\
add table inet vxn
add chain inet vxn guard { type filter hook prerouting priority raw; }
add chain inet vxn prerouting { type nat hook prerouting priority dstnat; }
add chain inet vxn output { type nat hook output priority -100; }
add chain inet vxn forward { type filter hook forward priority filter; }
add chain inet vxn postrouting { type nat hook postrouting priority srcnat; }
add chain inet vxn ports
flush table inet vxn
add rule inet vxn prerouting fib daddr type local jump ports
add rule inet vxn output ip6 daddr ::1 return
add rule inet vxn output fib daddr type local jump ports
add rule inet vxn forward ct state established,related accept
add rule inet vxn forward ct status dnat accept
";

/// The ruleset for `state`.
pub fn ruleset(state: &State) -> String {
    if state.networks.is_empty() {
        return NOTHING.to_owned();
    }
    let mut text = CHAINS.to_owned();
    for active in state.networks.values() {
        network(&mut text, active);
    }
    for lease in &state.leases {
        for forward in &lease.forwards {
            for address in &lease.addresses {
                port(&mut text, forward, lease, address.addr());
            }
        }
    }
    text
}

/// `rule!(text, chain, format…)`: writing to a string cannot fail.
macro_rules! rule {
    ($text:expr, $chain:literal, $($format:tt)*) => {{
        let _ = write!($text, "add rule inet vxn {} ", $chain);
        let _ = writeln!($text, $($format)*);
    }};
}

fn network(text: &mut String, active: &Active) {
    let network = &active.network;
    let bridge = &network.bridge;
    // 127.0.0.0/8 is routed on this bridge, for ports published on localhost; a
    // guest must not reach what else listens there.
    rule!(text, "guard", "iifname \"{bridge}\" ip daddr 127.0.0.0/8 drop");
    for gateway in &active.gateways {
        let (ip, net) = (family(gateway.addr()), gateway.trunc());
        // What is not published is reached from the network itself and from this
        // host, as if the guests were behind a router that does not forward.
        rule!(text, "forward", "iifname != \"{bridge}\" {ip} daddr {net} drop");
        if !network.internal {
            rule!(text, "postrouting", "{ip} saddr {net} {ip} daddr != {net} masquerade");
        }
        // A guest that comes back by a published port: the answer must not take
        // the short way.
        rule!(text, "postrouting", "{ip} saddr {net} {ip} daddr {net} ct status dnat masquerade");
    }
    rule!(text, "postrouting", "ip saddr 127.0.0.0/8 oifname \"{bridge}\" masquerade");
    if network.internal {
        rule!(text, "forward", "iifname \"{bridge}\" oifname != \"{bridge}\" drop");
    }
}

/// A port of this host that leads to `to`, if both speak the same IP.
fn port(text: &mut String, forward: &Forward, lease: &Lease, to: IpAddr) {
    let Forward { host, container, protocol, .. } = forward;
    let ip = family(to);
    let on = match forward.ip {
        Some(on) if on.is_ipv4() != to.is_ipv4() => return,
        Some(on) if !on.is_unspecified() => format!("{ip} daddr {on} "),
        _ => format!("meta nfproto {} ", if to.is_ipv4() { "ipv4" } else { "ipv6" }),
    };
    let to = match to {
        IpAddr::V4(to) => format!("{to}:{container}"),
        IpAddr::V6(to) => format!("[{to}]:{container}"),
    };
    let mac = lease.mac;
    rule!(text, "ports", "{on}{protocol} dport {host} dnat {ip} to {to} comment \"{mac}\"");
}

fn family(address: IpAddr) -> &'static str {
    if address.is_ipv4() { "ip" } else { "ip6" }
}
