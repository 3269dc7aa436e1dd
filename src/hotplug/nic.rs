//! Network interfaces: a port of a bridge in Dom0.

use std::io;

use nix::libc;
use vxn_link::{Link, LinkError, LinkFlags, Links};

use super::{Backend, Error, Result, Store};

/// The largest address that is not a broadcast: a bridge takes the smallest of
/// its ports' for its own, and must not take this one.
const MAC: [u8; 6] = [0xfe, 0xff, 0xff, 0xff, 0xff, 0xff];

/// Names the network device, makes it a port of its bridge and takes it up. Then
/// `hotplug-status` is `connected`, for which netback waits before the guest's
/// interface works. Done already: done again, to the same end.
pub(super) fn online(backend: &Backend, device: &str, store: &impl Store) -> Result<()> {
    let links = Links::open().map_err(LinkError::of("ask for", device))?;
    let (name, link) = named(backend, device, store, &links)?;
    let bridge = match text(backend, store, "bridge")? {
        Some(bridge) => Some(find_bridge(&links, &bridge)?),
        None => None,
    };
    let mtu = match text(backend, store, "mtu")? {
        Some(mtu) => Some(mtu.parse().map_err(|_| nonsense(backend, "mtu", mtu))?),
        None => bridge.as_ref().map(|bridge| bridge.mtu),
    };
    set_up(&links, &name, link.index, mtu, bridge.map(|bridge| bridge.index))?;
    let mut nodes = vec![(backend.node("hotplug-status"), b"connected".to_vec())];
    if let Some(mtu) = mtu {
        let frontend = format!("/local/domain/{}/device/vif/{}", backend.domid, backend.devid);
        nodes.push((format!("{frontend}/mtu"), mtu.to_string().into_bytes()));
    }
    match store.publish(&backend.node("state"), &nodes)? {
        true => Ok(()),
        false => Err(Error::Gone(backend.path.clone())),
    }
}

/// Takes the network device off its bridge. Mostly netback has removed it by now.
pub(super) fn offline(device: &str) -> Result<()> {
    let fail = LinkError::of("take down", device);
    let links = Links::open().map_err(&fail)?;
    let Some(link) = links.find(device).map_err(&fail)? else { return Ok(()) };
    match links.change(link.index).master(0).down().apply() {
        Err(e) if e.raw_os_error() == Some(libc::ENODEV) => Ok(()),
        other => Ok(other.map_err(fail)?),
    }
}

/// The device by the name that it is to have: `vifname` if that is set.
fn named(
    backend: &Backend,
    device: &str,
    store: &impl Store,
    links: &Links,
) -> Result<(String, Link)> {
    let name = text(backend, store, "vifname")?.unwrap_or_else(|| device.to_owned());
    let fail = LinkError::of("rename", device);
    let found = links.find(device).map_err(&fail)?;
    if let (Some(link), true) = (&found, name != device) {
        links.change(link.index).down().apply().map_err(&fail)?;
        links.change(link.index).name(&name).apply().map_err(&fail)?;
    }
    let found = match found {
        Some(link) => Some(link),
        None => links.find(&name).map_err(&fail)?,
    };
    let missing = || io::Error::from_raw_os_error(libc::ENODEV);
    match found {
        Some(link) => Ok((name, link)),
        None => Err(LinkError::of("find", device)(missing()).into()),
    }
}

fn find_bridge(links: &Links, name: &str) -> Result<Link> {
    match links.find(name).map_err(LinkError::of("ask for", name))? {
        None => Err(Error::NoBridge(name.to_owned())),
        Some(link) if link.kind != "bridge" => Err(Error::NotABridge(name.to_owned())),
        Some(link) => Ok(link),
    }
}

fn set_up(
    links: &Links,
    name: &str,
    index: u32,
    mtu: Option<u32>,
    bridge: Option<u32>,
) -> Result<()> {
    let change = || links.change(index);
    change().address(MAC).apply().map_err(LinkError::of("set the address of", name))?;
    if let Some(mtu) = mtu {
        change().mtu(mtu).apply().map_err(LinkError::of("set the MTU of", name))?;
    }
    if let Some(bridge) = bridge {
        change().master(bridge).apply().map_err(LinkError::of("add to its bridge", name))?;
    }
    // A port speaks for nobody: no ARP, no multicast of its own.
    let on = LinkFlags::Up | LinkFlags::Noarp;
    let change = change().flags(on, LinkFlags::Multicast);
    Ok(change.apply().map_err(LinkError::of("take up", name))?)
}

/// A node of the backend that may be missing, or empty, which is the same.
fn text(backend: &Backend, store: &impl Store, name: &str) -> Result<Option<String>> {
    match store.read(&backend.node(name))? {
        Some(value) if !value.is_empty() => {
            let text = String::from_utf8(value).map_err(|e| {
                nonsense(backend, name, String::from_utf8_lossy(e.as_bytes()).into_owned())
            })?;
            Ok(Some(text))
        }
        _ => Ok(None),
    }
}

fn nonsense(backend: &Backend, name: &str, value: String) -> Error {
    Error::Nonsense { path: backend.node(name), value }
}
