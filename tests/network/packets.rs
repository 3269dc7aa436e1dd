//! Who reaches whom.

use std::net::IpAddr;

use vxn::network::Protocol::{Tcp, Udp};

use super::*;

/// Another host, on a cable with Dom0: 192.0.2.1 and 192.0.2.2, 2001:db8::1 and ::2.
fn neighbour(dom0: &Dom0) -> Namespace {
    let other = Namespace::new("neighbour").unwrap();
    dom0.host.cable("out", &other, "eth0");
    for (host, last) in [(&dom0.host, 1), (&other, 2)] {
        let device = if last == 1 { "out" } else { "eth0" };
        host.ip(&format!("address add 192.0.2.{last}/24 dev {device}"));
        host.ip(&format!("address add 2001:db8::{last}/64 dev {device} nodad"));
    }
    other
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn published_ports_are_reached_from_everywhere_until_released() {
    let Some(dom0) = Dom0::new("published_ports") else { return };
    let other = neighbour(&dom0);
    let ports = ["8080:80", "8080:80/udp", "127.0.0.1:8081:81", "192.0.2.1:8082:81"];
    let (guest, lease) = dom0.guest("web", publish(&ports));
    let (beside, _) = dom0.guest("beside", publish(&[]));
    let gateway = lease.gateways[0];
    for protocol in [Tcp, Udp] {
        // The guest sees who really asks, but for what cannot be answered.
        assert_eq!(other.ask(protocol, "192.0.2.1:8080"), ip("192.0.2.2"));
        assert_eq!(other.ask(protocol, "[2001:db8::1]:8080"), ip("2001:db8::2"));
        assert_eq!(dom0.host.ask(protocol, "127.0.0.1:8080"), gateway);
        assert_eq!(dom0.host.ask(protocol, "192.0.2.1:8080"), ip("192.0.2.1"));
        assert_eq!(dom0.host.ask(protocol, "[2001:db8::1]:8080"), ip("2001:db8::1"));
        // With br_netfilter and without: the frames of a bridge see our rules or not.
        for calls in ["1", "0"] {
            dom0.host.set("bridge/bridge-nf-call-iptables", calls);
            assert_eq!(beside.ask(protocol, "192.0.2.1:8080"), gateway);
            assert_eq!(beside.ask(protocol, &format!("{gateway}:8080")), gateway);
        }
        assert_eq!(guest.ask(protocol, "192.0.2.1:8080"), gateway);
    }
    assert_eq!(dom0.host.ask(Tcp, "127.0.0.1:8081"), gateway);
    other.assert_silent(Tcp, "192.0.2.1:8081");
    assert_eq!(other.ask(Tcp, "192.0.2.1:8082"), ip("192.0.2.2"));
    dom0.host.assert_silent(Tcp, "127.0.0.1:8082");

    dom0.release("web");
    for protocol in [Tcp, Udp] {
        other.assert_silent(protocol, "192.0.2.1:8080");
        dom0.host.assert_silent(protocol, "127.0.0.1:8080");
    }
}

#[test]
fn localhost_of_ipv6_is_refused_at_once() {
    let Some(dom0) = Dom0::new("localhost_of_ipv6") else { return };
    let (_guest, _) = dom0.guest("web", publish(&["8080:80"]));
    let asked = dom0.host.run(|| std::net::TcpStream::connect("[::1]:8080"));
    assert_eq!(asked.unwrap_err().kind(), std::io::ErrorKind::ConnectionRefused);
    let refused = dom0.attach("more", publish(&["[::1]:8081:80"])).unwrap_err().to_string();
    assert!(refused.starts_with("cannot publish a port on ::1: "), "{refused}");
}

#[test]
fn guests_reach_the_world_and_each_other_and_no_more() {
    let Some(dom0) = Dom0::new("guests_reach_the_world") else { return };
    let other = neighbour(&dom0);
    other.serve(7000);
    dom0.host.serve(7001);
    let (web, lease) = dom0.guest("web", publish(&[]));
    let (db, db_lease) = dom0.guest("db", publish(&[]));
    let address = |lease: &Lease, n: usize| match lease.addresses[n].addr() {
        IpAddr::V4(ip) => format!("{ip}:80"),
        IpAddr::V6(ip) => format!("[{ip}]:80"),
    };
    for protocol in [Tcp, Udp] {
        assert_eq!(web.ask(protocol, "192.0.2.2:7000"), ip("192.0.2.1"));
        assert_eq!(web.ask(protocol, "[2001:db8::2]:7000"), ip("2001:db8::1"));
        for n in [0, 1] {
            assert_eq!(db.ask(protocol, &address(&lease, n)), db_lease.addresses[n].addr());
            assert_eq!(dom0.host.ask(protocol, &address(&lease, n)), lease.gateways[n]);
        }
    }
    // A host that knows the way gets no further than to what is published.
    for (net, gateway) in [("10.144.0.0/16", "192.0.2.1"), ("fd76::/16", "2001:db8::1")] {
        other.ip(&format!("route add {net} via {gateway}"));
    }
    other.assert_silent(Tcp, &address(&lease, 0));
    other.assert_silent(Tcp, &address(&lease, 1));
    // Nor does a guest that sends to what listens on Dom0's localhost.
    web.ip("route del local 127.0.0.0/8 dev lo table local");
    web.ip("route del local 127.0.0.1 dev lo table local");
    let (gateway, source) = (lease.gateways[0], lease.addresses[0].addr());
    web.ip(&format!("route add 127.0.0.0/8 via {gateway} src {source}"));
    web.set("ipv4/conf/eth0/route_localnet", "1");
    assert_eq!(dom0.host.ask(Tcp, "127.0.0.1:7001"), ip("127.0.0.1"));
    web.assert_silent(Tcp, "127.0.0.1:7001");
}

#[test]
fn networks_are_apart_and_an_internal_one_is_closed() {
    let Some(dom0) = Dom0::new("networks_are_apart") else { return };
    let other = neighbour(&dom0);
    other.serve(7000);
    dom0.create(NewNetwork { name: "other".to_owned(), ..NewNetwork::default() });
    let inner = NewNetwork { name: "inner".to_owned(), internal: true, ..NewNetwork::default() };
    dom0.create(inner);
    let (web, lease) = dom0.guest("web", publish(&["8080:80"]));
    let (there, there_lease) = dom0.guest("there", on("other"));
    let (inside, _) = dom0.guest("inside", on("inner"));
    let (_beside, beside_lease) = dom0.guest("beside", on("inner"));
    let server = |lease: &Lease| format!("{}:80", lease.addresses[0].addr());

    there.assert_silent(Tcp, &server(&lease));
    web.assert_silent(Tcp, &server(&there_lease));
    // What is published is so for every network.
    let gateway = there_lease.gateways[0];
    assert_eq!(there.ask(Tcp, &format!("{gateway}:8080")), lease.gateways[0]);

    inside.ask(Tcp, &server(&beside_lease));
    inside.ip("route add default dev eth0");
    inside.assert_silent(Tcp, "192.0.2.2:7000");
    let error = dom0.attach("more", Request { network: "inner".to_owned(), ..publish(&["80"]) });
    assert!(matches!(error, Err(Error::Internal(_))));
}
