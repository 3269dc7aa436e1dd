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
    let unreachable = links.add_default_route(bridge.index, "10.1.2.9".parse().unwrap());
    assert_eq!(unreachable.unwrap_err().raw_os_error(), Some(nix::libc::ENETUNREACH));
    links.change(bridge.index).up().apply().unwrap();
    for gateway in ["10.1.2.9", "fd00:1::9"] {
        links.add_default_route(bridge.index, gateway.parse().unwrap()).unwrap();
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
}
