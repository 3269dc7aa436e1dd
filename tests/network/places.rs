//! A guest that takes its place in a namespace that others have prepared. Dom0's end of
//! its cable stands in for the vif.

use std::net::IpAddr;
use std::sync::Arc;

use vxn::network::Protocol::{Tcp, Udp};
use vxn::network::namespace::{Interface, Namespace as Prepared};
use vxn::network::{Error, Result};

use super::Namespace;

/// Dom0, and a namespace with a cable to it: 10.88.0.1 and 10.88.0.2, fd88::1 and ::2.
struct Place {
    dom0: Namespace,
    pod: Namespace,
    prepared: Arc<Prepared>,
}

const MAC: &str = "02:00:00:00:00:07";

impl Place {
    fn new(test: &str) -> Option<Place> {
        let dom0 = Namespace::new(test)?;
        let pod = Namespace::new(test)?;
        dom0.cable("host", &pod, "eth0");
        pod.ip(&format!("link set eth0 address {MAC} mtu 1400"));
        for net in ["10.88.0", "fd88:"] {
            let (dot, length) = if net.contains(':') { (":", "64 nodad") } else { (".", "16") };
            dom0.ip(&format!("address add {net}{dot}1/{length} dev host"));
            pod.ip(&format!("address add {net}{dot}2/{length} dev eth0"));
            pod.ip(&format!("route add default via {net}{dot}1"));
        }
        let path = pod.path();
        let prepared = Arc::new(dom0.run(move || Prepared::open(&path)).unwrap());
        Some(Place { dom0, pod, prepared })
    }

    fn interfaces(&self) -> Vec<Interface> {
        self.prepared.interfaces().unwrap()
    }

    /// A guest behind Dom0's device `vif`, as its vxn-init sets it up.
    fn guest(&self, vif: &str, interface: &Interface) -> Namespace {
        let guest = Namespace::new(vif).unwrap();
        self.dom0.cable(vif, &guest, "eth0");
        let Interface { mac, mtu, addresses, routes, .. } = interface;
        guest.ip(&format!("link set eth0 address {mac} mtu {mtu}"));
        for address in addresses {
            let nodad = if address.addr().is_ipv6() { "nodad" } else { "" };
            guest.ip(&format!("address add {address} dev eth0 {nodad}"));
        }
        for route in routes {
            let gateway = route.gateway.unwrap();
            guest.ip(&format!("route add {} via {gateway}", route.destination));
        }
        guest
    }

    fn tie(&self, vif: &'static str, interface: &Interface) -> Result<()> {
        let (prepared, interface) = (self.prepared.clone(), interface.clone());
        self.dom0.run(move || prepared.tie(vif, vif, &interface))
    }

    /// Who answers at the pod's addresses says where the question came from.
    #[track_caller]
    fn assert_answers(&self) {
        for protocol in [Tcp, Udp] {
            for (to, from) in [("10.88.0.2:80", "10.88.0.1"), ("[fd88::2]:80", "fd88::1")] {
                assert_eq!(self.dom0.ask(protocol, to), from.parse::<IpAddr>().unwrap());
            }
        }
    }
}

#[test]
fn what_was_prepared_is_found() {
    let Some(place) = Place::new("what_was_prepared_is_found") else { return };
    place.pod.ip("link add eth10 type veth peer name far");
    place.pod.ip("link set eth10 up");
    place.pod.ip("link add eth9 type veth peer name away");
    place.pod.ip("link set eth9 up");
    place.pod.ip("route add 192.0.2.0/24 via 169.254.1.1 dev eth0 onlink metric 7");
    place.pod.ip("route add 169.254.1.1 dev eth0 scope link");
    place.pod.ip("neigh add 169.254.1.1 lladdr 02:00:00:00:00:01 dev eth0 nud permanent");
    let found = place.interfaces();
    let names: Vec<&str> = found.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(names, ["eth0", "eth9", "eth10"], "those that are down take no part");
    let eth0 = &found[0];
    assert_eq!((eth0.mac.to_string().as_str(), eth0.mtu), (MAC, 1400));
    let addresses: Vec<String> = eth0.addresses.iter().map(ToString::to_string).collect();
    assert_eq!(addresses, ["10.88.0.2/16", "fd88::2/64"]);
    let shown = |route: &vxn_link::Route| {
        let gateway = route.gateway.map_or("-".to_owned(), |ip| ip.to_string());
        format!("{} {gateway} {:?} {}", route.destination, route.metric, route.onlink)
    };
    let mut routes: Vec<String> = eth0.routes.iter().map(shown).collect();
    assert_eq!(routes.remove(0), "169.254.1.1/32 - None false", "first, or others fail");
    routes.sort();
    let wanted = [
        "0.0.0.0/0 10.88.0.1 None false",
        "192.0.2.0/24 169.254.1.1 Some(7) true",
        "::/0 fd88::1 Some(1024) false",
    ];
    assert_eq!(routes, wanted);
    let neighbour = ("169.254.1.1".parse().unwrap(), "02:00:00:00:00:01".parse().unwrap());
    assert_eq!(eth0.neighbours, [neighbour]);
}

#[test]
fn a_guest_answers_for_a_namespace_until_it_is_gone() {
    let Some(place) = Place::new("a_guest_answers_for_a_namespace") else { return };
    let eth0 = place.interfaces().remove(0);
    let guest = place.guest("vif7.0", &eth0);
    place.tie("vif7.0", &eth0).unwrap();
    guest.serve(80);
    place.assert_answers();
    place.dom0.serve(7000);
    let source: IpAddr = "10.88.0.2".parse().unwrap();
    assert_eq!(guest.ask(Tcp, "10.88.0.1:7000"), source);
    // The namespace keeps what it was given.
    assert_eq!(place.interfaces().remove(0), eth0);

    // A living guest keeps its place, whoever clears up.
    place.prepared.untie("vif8.0").unwrap();
    let other = place.guest("vif8.0", &eth0);
    let taken = place.tie("vif8.0", &eth0).unwrap_err();
    assert!(matches!(&taken, Error::Unfit { link, .. } if link == "eth0"), "{taken}");
    place.assert_answers();

    // Devices may go later than their guests.
    std::thread::scope(|scope| {
        let untied = scope.spawn(|| place.prepared.untie("vif7.0"));
        guest.ip("link del eth0");
        untied.join().unwrap().unwrap();
    });
    other.ip("link del eth0");
    assert_eq!(place.pod.output("tc", "qdisc show dev eth0 ingress"), "");
    place.pod.serve(80);
    place.assert_answers();
}

#[test]
fn what_is_no_namespace_of_another_is_refused() {
    let Some(place) = Place::new("what_is_no_namespace") else { return };
    let open = |path: &'static str| {
        let opened = place.dom0.run(move || Prepared::open(path.as_ref()));
        opened.unwrap_err().to_string()
    };
    assert!(open("/proc/thread-self/ns/net").starts_with("host network is not supported"));
    assert!(open("/nowhere").starts_with("/nowhere: "));
    let file = open("/etc/passwd");
    assert!(file.starts_with("cannot enter the network namespace /etc/passwd: "), "{file}");
    place.pod.ip("link add twin address 02:00:00:00:00:07 type veth peer name far");
    place.pod.ip("link set twin up");
    let twin = place.prepared.interfaces().unwrap_err().to_string();
    assert!(twin.contains("stand in for twin") && twin.ends_with("the same address"), "{twin}");
}
