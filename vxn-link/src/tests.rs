//! Against the real kernel, in a network namespace of the test's thread.

use std::time::Duration;

use nix::sched::{CloneFlags, unshare};

use super::*;

/// A bridge `br0` and one end of a veth pair, `port`.
fn namespace(test: &str) -> Option<Links> {
    if let Err(e) = unshare(CloneFlags::CLONE_NEWNET) {
        eprintln!("SKIPPED: {test}: no network namespace: {e}");
        return None;
    }
    let links = Links::open().unwrap();
    links.add("br0", "bridge").unwrap();
    links.add("port", "veth").unwrap();
    Some(links)
}

#[test]
fn a_bridge_gets_a_port() {
    let Some(links) = namespace("a_bridge_gets_a_port") else { return };
    let bridge = links.find("br0").unwrap().unwrap();
    assert_eq!((bridge.kind.as_str(), bridge.name.as_str()), ("bridge", "br0"));
    let port = links.find("port").unwrap().unwrap();
    let address = [0xfe, 0xff, 0xff, 0xff, 0xff, 0xff];
    links.change(port.index).master(bridge.index).address(address).mtu(1400).apply().unwrap();
    links.change(port.index).name("web0").alias("a note").up().apply().unwrap();
    assert_eq!(links.find("port").unwrap(), None);
    let port = links.find("web0").unwrap().unwrap();
    assert_eq!((port.master, port.mtu, port.alias.as_str()), (bridge.index, 1400, "a note"));
    assert!(port.address == address && port.flags.contains(LinkFlags::Up));
    links.change(port.index).master(0).down().apply().unwrap();
    let port = links.find("web0").unwrap().unwrap();
    assert!(port.master == 0 && !port.flags.contains(LinkFlags::Up));

    assert_eq!(links.add("br0", "bridge").unwrap_err().raw_os_error(), Some(nix::libc::EEXIST));
    links.remove(bridge.index).unwrap();
    let gone = links.change(bridge.index).up().apply().unwrap_err();
    assert_eq!(gone.raw_os_error(), Some(nix::libc::ENODEV));
}

#[test]
fn addresses_and_routes() {
    let Some(links) = namespace("addresses_and_routes") else { return };
    let bridge = links.find("br0").unwrap().unwrap();
    let addresses = ["10.1.2.1/24".parse().unwrap(), "fd00:1::1/64".parse().unwrap()];
    for address in addresses {
        links.add_address(bridge.index, address).unwrap();
        links.add_address(bridge.index, address).unwrap();
    }
    assert_eq!(links.addresses(bridge.index).unwrap(), addresses);
    let by = |gateway: &str| Route::default_by(gateway.parse().unwrap());
    let unreachable = links.add_route(bridge.index, &by("10.1.2.9"));
    assert_eq!(unreachable.unwrap_err().raw_os_error(), Some(nix::libc::ENETUNREACH));
    links.change(bridge.index).up().apply().unwrap();
    for gateway in ["10.1.2.9", "fd00:1::9"] {
        links.add_route(bridge.index, &by(gateway)).unwrap();
    }
    let nets: Vec<String> = links.connected().unwrap().iter().map(ToString::to_string).collect();
    assert_eq!(nets, ["10.1.2.0/24", "fd00:1::/64"]);
    for address in addresses {
        links.remove_address(bridge.index, address).unwrap();
        links.remove_address(bridge.index, address).unwrap();
    }
    assert_eq!(links.addresses(bridge.index).unwrap(), []);
}

#[test]
fn a_device_is_waited_for() {
    let Some(links) = namespace("a_device_is_waited_for") else { return };
    let up = |link: &Link| link.name == "br0" && link.flags.contains(LinkFlags::Up);
    assert_eq!(links.wait(Duration::ZERO, up).unwrap(), None);
    let index = links.find("br0").unwrap().unwrap().index;
    let seen = std::thread::scope(|scope| {
        // A thread starts in the namespace of the one that starts it.
        let waiter = scope.spawn(|| links.wait(Duration::from_secs(60), up).unwrap());
        Links::open().unwrap().change(index).up().apply().unwrap();
        waiter.join().unwrap()
    });
    assert_eq!(seen.unwrap().index, index);
    assert!(!links.wait_gone(Duration::ZERO, up).unwrap());
    let gone = std::thread::scope(|scope| {
        let waiter = scope.spawn(|| links.wait_gone(Duration::from_secs(60), up).unwrap());
        Links::open().unwrap().remove(index).unwrap();
        waiter.join().unwrap()
    });
    assert!(gone);
}

#[test]
fn routes_and_neighbours_are_found_as_they_were_added() {
    let Some(links) = namespace("routes_and_neighbours") else { return };
    let port = links.find("port").unwrap().unwrap().index;
    for address in ["10.1.2.3/24", "fd00:1::3/64"] {
        links.add_address(port, address.parse().unwrap()).unwrap();
    }
    links.change(port).up().apply().unwrap();
    let route = |destination: &str, gateway: Option<&str>, metric| Route {
        destination: destination.parse().unwrap(),
        gateway: gateway.map(|ip| ip.parse().unwrap()),
        source: None,
        metric,
        onlink: false,
    };
    let source = Some("10.1.2.3".parse().unwrap());
    let onlink = route("198.51.100.0/24", Some("192.0.2.9"), None);
    let added = [
        route("169.254.1.1/32", None, None),
        Route { source, ..route("0.0.0.0/0", Some("169.254.1.1"), Some(100)) },
        Route { onlink: true, ..onlink },
        route("203.0.113.0/24", Some("fd00:1::1"), None),
        route("::/0", Some("fd00:1::1"), Some(1024)),
    ];
    added.iter().for_each(|route| links.add_route(port, route).unwrap());
    let found = links.routes(port).unwrap();
    assert!(added.iter().all(|route| found.contains(route)), "{found:?}");
    assert_eq!(found.len(), added.len(), "{found:?}");
    assert_eq!(links.routes(port + 1).unwrap(), []);

    let mac: Mac = "02:00:00:00:00:07".parse().unwrap();
    let known = [("10.1.2.7".parse().unwrap(), mac), ("fd00:1::7".parse().unwrap(), mac)];
    known.iter().for_each(|(address, mac)| links.add_neighbour(port, *address, *mac).unwrap());
    let mut found = links.neighbours(port).unwrap();
    found.sort();
    assert_eq!(found, known);
}

#[test]
fn a_redirect_is_one_and_ends_with_its_target() {
    let Some(links) = namespace("a_redirect_is_one") else { return };
    links.add("other", "veth").unwrap();
    let index = |name| links.find(name).unwrap().unwrap().index;
    let (port, other) = (index("port"), index("other"));
    links.redirect(port, other).unwrap();
    let twice = links.redirect(port, other).unwrap_err();
    assert_eq!(twice.raw_os_error(), Some(nix::libc::EEXIST));
    // It lives, and is not taken away.
    links.remove_dead_redirect(port).unwrap();
    assert!(links.redirect(port, other).is_err());
    links.remove(other).unwrap();
    links.remove_dead_redirect(port).unwrap();
    links.remove_dead_redirect(port).unwrap();
    links.redirect(port, index("br0")).unwrap();
    links.remove(index("port")).unwrap();
    links.remove_dead_redirect(port).unwrap();
}
