//! Bridges in Dom0: found or made, and gone with their last lease if made.

use std::fs;
use std::path::{Path, PathBuf};

use ipnet::IpNet;
use vxn_link::{Link, LinkError, Links};

use super::definition::{Network, overlap};
use super::error::{Error, Result, at};
use super::leases::Active;
use super::seed;

/// How a bridge of ours is known: a note on the device.
fn mark(network: &Network) -> String {
    format!("vxn network {}", network.name)
}

/// MTU of a bridge that is made, if the network says nothing.
const MTU: u32 = 1500;

/// What [`set_up`] is going to do. Nothing is changed yet: this is written down
/// first.
///
/// # Errors
/// When the bridge is none, or its addresses are somebody else's.
pub(super) fn plan(links: &Links, network: &Network) -> Result<Active> {
    let found = find(links, &network.bridge)?;
    let made = found.as_ref().is_none_or(|found| found.alias == mark(network));
    let (gateways, added) = addresses(links, network, found.as_ref())?;
    let mtu = network.mtu.filter(|_| made).or(found.map(|found| found.mtu)).unwrap_or(MTU);
    Ok(Active { network: network.clone(), made, gateways, added, mtu })
}

/// Makes the bridge of a network unless it is there, gives it the network's
/// addresses, takes it up, and lets this host route for it. Done already: done
/// again, to the same end. A bridge that somebody else made keeps what it has.
pub(super) fn set_up(links: &Links, active: &Active) -> Result<()> {
    let name = &active.network.bridge;
    let bridge = match find(links, name)? {
        Some(found) => found,
        None => make(links, &active.network)?,
    };
    if active.made {
        switch(&format!("ipv6/conf/{name}/disable_ipv6"), "0")?;
    }
    let fail = LinkError::of("give an address to", name);
    active
        .added
        .iter()
        .try_for_each(|address| links.add_address(bridge.index, *address).map_err(&fail))?;
    links
        .change(bridge.index)
        .up()
        .mtu(active.mtu)
        .apply()
        .map_err(LinkError::of("take up", name))?;
    route(&active.network)
}

/// Removes what [`set_up`] made of a bridge: all of it, unless somebody has put
/// ports of his own on it, or the addresses that were added.
pub(super) fn take_down(links: &Links, active: &Active) -> Result<()> {
    let name = &active.network.bridge;
    let Some(bridge) = find(links, name)? else { return Ok(()) };
    let fail = LinkError::of("remove", name);
    if active.made {
        let ports = links.list().map_err(&fail)?;
        if ports.iter().any(|port| port.master == bridge.index) {
            tracing::info!("{name} stays: it has other ports");
            return Ok(());
        }
        return Ok(links.remove(bridge.index).map_err(fail)?);
    }
    let fail = LinkError::of("remove an address from", name);
    for address in &active.added {
        links.remove_address(bridge.index, *address).map_err(&fail)?;
    }
    Ok(())
}

fn find(links: &Links, name: &str) -> Result<Option<Link>> {
    match links.find(name).map_err(LinkError::of("look for", name))? {
        Some(other) if other.kind != "bridge" => Err(Error::NotABridge(name.to_owned())),
        found => Ok(found),
    }
}

fn make(links: &Links, network: &Network) -> Result<Link> {
    let name = &network.bridge;
    let fail = LinkError::of("make", name);
    links.add(name, "bridge").map_err(&fail)?;
    let made = find(links, name)?
        .ok_or_else(|| fail(std::io::Error::from_raw_os_error(nix::libc::ENODEV)))?;
    // With an address of its own it does not change it with its ports, whose
    // neighbours would lose sight of it.
    let [a, b, c, d, e, ..] = seed(&["bridge address", name]).to_be_bytes();
    let mark = mark(network);
    let change = links.change(made.index).alias(&mark).address([0x02, a, b, c, d, e]);
    change.apply().map_err(fail)?;
    Ok(Link { alias: mark, ..made })
}

/// The bridge's addresses in the network, and those of them that it lacks.
fn addresses(
    links: &Links,
    network: &Network,
    bridge: Option<&Link>,
) -> Result<(Vec<IpNet>, Vec<IpNet>)> {
    let fail = LinkError::of("look at", &network.bridge);
    let has = match bridge {
        Some(bridge) => links.addresses(bridge.index).map_err(&fail)?,
        None => Vec::new(),
    };
    let connected = links.connected().map_err(fail)?;
    let (mut all, mut added) = (Vec::new(), Vec::new());
    for wanted in network.gateways() {
        if wanted.addr().is_ipv6() && !sys("ipv6").exists() {
            continue;
        }
        if let Some(own) = has.iter().find(|own| wanted.trunc() == own.trunc()) {
            all.push(*own);
            continue;
        }
        if let Some(net) = connected.iter().find(|net| overlap(net, &wanted)) {
            let why = format!("this host has another way to {net}");
            return Err(Error::BadSubnet { net: wanted.trunc(), why });
        }
        all.push(wanted);
        added.push(wanted);
    }
    Ok((all, added))
}

/// Lets packets through from and to the bridge.
fn route(network: &Network) -> Result<()> {
    let name = &network.bridge;
    // Ports published on 127.0.0.1: rules.rs keeps guests from using it.
    switch(&format!("ipv4/conf/{name}/route_localnet"), "1")?;
    if network.internal {
        return Ok(());
    }
    switch("ipv4/ip_forward", "1")?;
    if sys("ipv6/conf/all/forwarding").exists() {
        keep_router_advertisements()?;
        switch("ipv6/conf/all/forwarding", "1")?;
    }
    Ok(())
}

/// A host that routes takes no more routes from routers, unless told to
/// (`accept_ra` 2): it must not lose its own way out.
fn keep_router_advertisements() -> Result<()> {
    if read(&sys("ipv6/conf/all/forwarding"))? == "1" {
        return Ok(());
    }
    let dir = sys("ipv6/conf");
    for entry in fs::read_dir(&dir).map_err(at(&dir))? {
        let file = entry.map_err(at(&dir))?.path().join("accept_ra");
        // A device may go away meanwhile.
        if fs::read_to_string(&file).is_ok_and(|value| value.trim_end() == "1") {
            fs::write(&file, "2").map_err(at(&file))?;
        }
    }
    Ok(())
}

fn sys(name: &str) -> PathBuf {
    Path::new("/proc/sys/net").join(name)
}

fn read(file: &Path) -> Result<String> {
    Ok(fs::read_to_string(file).map_err(at(file))?.trim_end().to_owned())
}

/// Sets a switch of the kernel, if it has it and it is set otherwise.
fn switch(name: &str, value: &str) -> Result<()> {
    let file = sys(name);
    if !file.exists() || read(&file)? == value {
        return Ok(());
    }
    fs::write(&file, value).map_err(at(&file))
}
