//! Two who want the same.

use std::collections::BTreeSet;
use std::net::{IpAddr, TcpListener};
use std::time::Instant;

use super::*;

fn refusal(dom0: &Dom0, id: &str, request: Request) -> String {
    dom0.attach(id, request).unwrap_err().to_string()
}

#[test]
fn a_port_has_one_owner_who_is_named() {
    let Some(dom0) = Dom0::new("a_port_has_one_owner") else { return };
    let lease = dom0.attach("web", publish(&["8080:80", "8000-8002:90-92"])).unwrap();
    assert_eq!(lease.forwards.len(), 4);
    let taken = "port 8080/tcp of this host is already in use by container web";
    assert_eq!(refusal(&dom0, "late", publish(&["8080:81"])), taken);
    assert_eq!(refusal(&dom0, "late", publish(&["127.0.0.1:8080:81"])), taken);
    assert_eq!(
        refusal(&dom0, "late", publish(&["9090:1", "8001:81"])),
        taken.replace("8080", "8001")
    );
    let itself = "port 70/tcp of this host is already in use by container late";
    assert_eq!(refusal(&dom0, "late", publish(&["70:1", "70:2"])), itself);
    // The other protocol has ports of its own, and a range has a next one.
    let late = dom0.attach("late", publish(&["8080:80/udp", "8000-8004:80"])).unwrap();
    assert_eq!(late.forwards[1].host, 8003);
    dom0.release("web");
    dom0.attach("again", publish(&["8080:80"])).unwrap();
    for id in ["late", "again"] {
        dom0.release(id);
    }
    dom0.assert_clean();
}

#[test]
fn a_program_of_the_host_has_its_port_and_is_named() {
    let Some(dom0) = Dom0::new("a_program_of_the_host") else { return };
    let _taken = dom0.host.run(|| TcpListener::bind(("127.0.0.1", 8080)).unwrap());
    let refused = refusal(&dom0, "web", publish(&["8080:80"]));
    let pid = std::process::id();
    assert!(refused.starts_with("port 8080/tcp of this host is already in use by "), "{refused}");
    assert!(refused.ends_with(&format!(" (process {pid})")), "{refused}");
    let nowhere = refusal(&dom0, "web", publish(&["192.0.2.77:80:80"]));
    assert_eq!(nowhere, "cannot publish a port on 192.0.2.77: this host has no such address");
    // Nothing is left of what was refused.
    dom0.assert_clean();

    let lease = dom0.attach("web", publish(&["80", "80/udp", "127.0.0.2::80"])).unwrap();
    assert!(lease.forwards.iter().all(|forward| forward.host > 1023), "{lease:?}");
}

#[test]
fn addresses_that_are_asked_for() {
    let Some(dom0) = Dom0::new("addresses_that_are_asked_for") else { return };
    let ask = |ip: &str| Request { ip: Some(ip.parse().unwrap()), ..publish(&[]) };
    let lease = dom0.attach("web", ask("10.144.7.7")).unwrap();
    assert_eq!(lease.addresses[0].to_string(), "10.144.7.7/16");
    let mac = Request { mac: Some(lease.mac), ..publish(&[]) };
    for (request, refused) in [
        (ask("10.144.7.7"), "address 10.144.7.7 is in use by container web"),
        (
            ask("10.144.0.1"),
            "address 10.144.0.1 cannot be given on network bridge: it is the gateway's",
        ),
        (
            ask("10.1.0.1"),
            "address 10.1.0.1 cannot be given on network bridge: it is no host's in 10.144.0.0/16",
        ),
        (
            ask("10.144.0.0"),
            "address 10.144.0.0 cannot be given on network bridge: it is no host's in 10.144.0.0/16",
        ),
        (on("nowhere"), "no such network: nowhere"),
    ] {
        assert_eq!(refusal(&dom0, "late", request), refused);
    }
    assert!(refusal(&dom0, "late", mac).contains("in use by container web"));
    let twice = refusal(&dom0, "web", publish(&[]));
    assert_eq!(twice, "container web is connected to network bridge already");
    let networks = dom0.networks.clone();
    dom0.create(NewNetwork { name: "used".to_owned(), ..NewNetwork::default() });
    dom0.attach("user", on("used")).unwrap();
    let used = dom0.host.run(move || networks.remove("used")).unwrap_err();
    assert_eq!(used.to_string(), "network used is in use by container user");
}

#[test]
fn two_hundred_at_once_get_addresses_and_ports_of_their_own() {
    let Some(dom0) = Dom0::new("two_hundred_at_once") else { return };
    let started = Instant::now();
    let networks = dom0.networks.clone();
    // A thread starts in the namespace of the one that starts it.
    let leases = dom0.host.run(move || {
        std::thread::scope(|scope| {
            let attach = |n: usize| {
                let networks = &networks;
                scope.spawn(move || {
                    networks.attach(&owner(&n.to_string()), &publish(&["20000-20199:80"])).unwrap()
                })
            };
            let threads: Vec<_> = (0..200).map(attach).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<Lease>>()
        })
    });
    let addresses: BTreeSet<IpAddr> =
        leases.iter().flat_map(|lease| &lease.addresses).map(|net| net.addr()).collect();
    let macs: BTreeSet<[u8; 6]> = leases.iter().map(|lease| lease.mac.0).collect();
    let ports: BTreeSet<u16> = leases.iter().map(|lease| lease.forwards[0].host).collect();
    assert_eq!((addresses.len(), macs.len(), ports.len()), (400, 200, 200));
    let rules = dom0.host.output("nft", "list chain inet vxn ports");
    assert_eq!(rules.matches("dnat").count(), 400, "{rules}");
    let networks = dom0.networks.clone();
    assert!(dom0.host.run(move || networks.reap(|_| false)).unwrap());
    dom0.assert_clean();
    eprintln!("200 leases with a port each: {} ms", started.elapsed().as_millis());
}
