//! The guest's network interfaces, set up as the host says: addresses and
//! routes are known, so nothing asks for them and nothing waits for an answer.

use std::{fs, io, net::IpAddr, path::Path, time::Duration};

use ipnet::IpNet;
use vxn_link::{Link, LinkFlags, Links, Mac, Route};
use vxn_proto::{Interface, Network};

use crate::{
    Error, Result,
    error::Context,
    modules::{Loading, Modules},
    rootfs::Rootfs,
};

/// The driver of vifs.
const DRIVER: &str = "xen_netfront";

/// Where xenbus shows the devices of this DomU.
const DEVICES: &str = "/sys/bus/xen/devices";

/// How long Dom0 may take to connect an interface.
const PATIENCE: Duration = Duration::from_secs(30);

/// The interfaces of this guest.
#[derive(Debug, Default)]
pub struct Nics {
    driver: Option<Loading>,
    /// The driver is loaded, or on its way.
    driven: bool,
    now: Network,
    /// The network was once as it was to be.
    set_up: bool,
}

impl Nics {
    /// Starts to load the driver if the DomU was made with a vif.
    ///
    /// # Errors
    /// The kernel's.
    pub fn find(modules: &mut Modules) -> Result<Self> {
        let devices = fs::read_dir(DEVICES).into_iter().flatten().flatten();
        let vif = devices.into_iter().any(|d| d.file_name().as_encoded_bytes().starts_with(b"vif"));
        let driver = if vif { Some(modules.load_in_background(DRIVER)?) } else { None };
        Ok(Self { driver, driven: vif, ..Self::default() })
    }

    /// Whether the network was ever as it was wanted.
    pub fn are_set_up(&self) -> bool {
        self.set_up
    }

    /// Makes interfaces and files as they are wanted, and returns when packets
    /// can pass.
    ///
    /// # Errors
    /// The kernel's; an interface that does not come, or does not go. What is done
    /// until then is kept in mind.
    pub fn apply(&mut self, wanted: Network, modules: &mut Modules, root: &Rootfs) -> Result<()> {
        let is_in = |interfaces: &[Interface], mac| interfaces.iter().any(|one| one.mac == mac);
        let known = std::mem::take(&mut self.now.interfaces);
        let (stay, go): (Vec<_>, Vec<_>) =
            known.into_iter().partition(|known| is_in(&wanted.interfaces, known.mac));
        self.now.interfaces = stay;
        for interface in wanted.interfaces {
            if !is_in(&self.now.interfaces, interface.mac) {
                self.set_up(&interface, modules)?;
                self.now.interfaces.push(interface);
            }
        }
        for (file, text, now) in [
            ("hosts", wanted.hosts, &mut self.now.hosts),
            ("resolv.conf", wanted.resolv_conf, &mut self.now.resolv_conf),
        ] {
            if text != *now {
                root.replace("/etc", file, &text)?;
                *now = text;
            }
        }
        self.set_up = true;
        go.iter().try_for_each(wait_until_gone)
    }

    fn set_up(&mut self, interface: &Interface, modules: &mut Modules) -> Result<()> {
        if !std::mem::replace(&mut self.driven, true) {
            // The first vif of a DomU that was made without one.
            modules.load(DRIVER)?;
        }
        let links = Links::open().context("open a netlink socket")?;
        let shown = Mac(interface.mac);
        let here = |link: &Link| link.address == interface.mac;
        let link = wait(&links, &format!("network interface {shown}"), here)?;
        let name = &interface.name;
        rename(&links, &link, name).context(format_args!("call a network interface {name}"))?;
        // Neighbours that knew the address as somebody else's hear of the change.
        switch(&format!("ipv4/conf/{name}/arp_notify"), "1")?;
        // What a router on the same bridge says is not for us.
        switch(&format!("ipv6/conf/{name}/accept_ra"), "0")?;
        let what = format!("set up network interface {name}");
        links.change(link.index).mtu(interface.mtu).apply().context(&what)?;
        for address in interface.addresses.iter().filter(|(address, _)| spoken(address)) {
            let net = net(*address)?;
            links.add_address(link.index, net).context(format_args!("give {name} {net}"))?;
        }
        links.change(link.index).up().apply().context(&what)?;
        let up = |link: &Link| here(link) && link.flags.contains(LinkFlags::LowerUp);
        wait(&links, &format!("connection of network interface {name}"), up)?;
        lead(&links, link.index, interface)?;
        self.driver.take().map_or(Ok(()), Loading::finish)
    }
}

/// Waits until the kernel has let go of an interface whose vif was taken away: the
/// same one may come again.
fn wait_until_gone(interface: &Interface) -> Result<()> {
    let Interface { name, mac, .. } = interface;
    let links = Links::open().context("open a netlink socket")?;
    let this = |link: &Link| link.address == *mac && link.name == *name;
    let gone = links.wait_gone(PATIENCE, this).context("wait for a network interface")?;
    if gone {
        return Ok(());
    }
    Err(Error::Other(format!(
        "network interface {name} did not go within {} s",
        PATIENCE.as_secs()
    )))
}

fn wait(links: &Links, what: &str, wanted: impl Fn(&Link) -> bool) -> Result<Link> {
    let found = links.wait(PATIENCE, wanted).context("wait for a network interface")?;
    let late = || Error::Other(format!("no {what} within {} s", PATIENCE.as_secs()));
    found.ok_or_else(late)
}

/// Gives an interface that is down its name. Another one that has it gets its own when
/// its turn comes.
fn rename(links: &Links, link: &Link, name: &str) -> io::Result<()> {
    if link.name == name {
        return Ok(());
    }
    if let Some(other) = links.find(name)? {
        links.change(other.index).name(&format!("vif{}", other.index)).apply()?;
    }
    links.change(link.index).name(name).apply()
}

/// Adds the ways through an interface that is up, and its neighbours.
fn lead(links: &Links, index: u32, interface: &Interface) -> Result<()> {
    for route in interface.routes.iter().filter(|route| spoken(&route.destination.0)) {
        let vxn_proto::Route { gateway, source, metric, onlink, .. } = *route;
        let destination = net(route.destination)?;
        let route = Route { destination, gateway, source, metric, onlink };
        links.add_route(index, &route).context(format_args!("reach {destination}"))?;
    }
    for (address, mac) in interface.neighbours.iter().filter(|(address, _)| spoken(address)) {
        links
            .add_neighbour(index, *address, Mac(*mac))
            .context(format_args!("write down the neighbour {address}"))?;
    }
    Ok(())
}

fn net((address, length): (IpAddr, u8)) -> Result<IpNet> {
    IpNet::new(address, length)
        .map_err(|e| Error::Protocol(format!("address {address}/{length}: {e}")))
}

/// Whether this kernel speaks the address's IP.
fn spoken(address: &IpAddr) -> bool {
    address.is_ipv4() || Path::new("/proc/sys/net/ipv6").exists()
}

/// Sets a switch of the kernel, if it has it.
fn switch(name: &str, value: &str) -> Result<()> {
    let file = Path::new("/proc/sys/net").join(name);
    match fs::write(&file, value) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        written => written.context(format_args!("write {}", file.display())),
    }
}

#[cfg(test)]
mod tests {
    use nix::sched::{CloneFlags, unshare};

    use super::*;

    const MAC: [u8; 6] = [0x00, 0x16, 0x3e, 1, 2, 3];

    /// A cable in a network namespace of this thread: the end with [`MAC`] is the
    /// guest's, the other one is Dom0's and up.
    fn cable(test: &str) -> Option<Links> {
        if let Err(e) = unshare(CloneFlags::CLONE_NEWNET) {
            eprintln!("SKIPPED: {test}: no network namespace: {e}");
            return None;
        }
        let links = Links::open().unwrap();
        plug(&links);
        Some(links)
    }

    fn plug(links: &Links) {
        links.add("eth0", "veth").unwrap();
        let guest = links.find("eth0").unwrap().unwrap();
        links.change(guest.index).address(MAC).apply().unwrap();
        let is_dom0 = |link: &Link| link.kind == "veth" && link.index != guest.index;
        let dom0 = links.list().unwrap().into_iter().find(is_dom0).unwrap();
        links.change(dom0.index).up().apply().unwrap();
    }

    fn by(gateway: &str, all: &str) -> vxn_proto::Route {
        vxn_proto::Route {
            destination: (all.parse().unwrap(), 0),
            gateway: Some(gateway.parse().unwrap()),
            source: None,
            metric: None,
            onlink: false,
        }
    }

    fn network() -> Network {
        Network {
            interfaces: vec![Interface {
                mac: MAC,
                name: "net1".to_owned(),
                mtu: 1400,
                addresses: vec![
                    ("10.144.7.7".parse().unwrap(), 16),
                    ("fd76::7".parse().unwrap(), 64),
                ],
                routes: vec![by("10.144.0.1", "0.0.0.0"), by("fd76::1", "::")],
                neighbours: vec![("10.144.0.1".parse().unwrap(), [2, 0, 0, 0, 0, 1])],
            }],
            hosts: "10.144.7.7\tbox\n".to_owned(),
            resolv_conf: "nameserver 192.0.2.53\n".to_owned(),
        }
    }

    #[test]
    fn an_interface_is_set_up_once_and_files_are_kept_current() {
        let Some(links) = cable("an_interface_is_set_up_once") else { return };
        let dir = tempfile::tempdir().unwrap();
        let root = Rootfs::open(dir.path()).unwrap();
        let file = |name: &str| fs::read_to_string(dir.path().join("etc").join(name)).unwrap();
        links.add("net1", "bridge").unwrap();
        let other = links.find("net1").unwrap().unwrap();
        let (mut nics, mut modules) = (Nics::default(), Modules::open().unwrap());
        nics.apply(network(), &mut modules, &root).unwrap();
        assert!(nics.are_set_up());

        // The name was another one's.
        assert!(links.find(&format!("vif{}", other.index)).unwrap().is_some());
        let net1 = links.find("net1").unwrap().unwrap();
        assert!(net1.mtu == 1400 && net1.flags.contains(LinkFlags::LowerUp), "{net1:?}");
        let addresses = links.addresses(net1.index).unwrap();
        assert_eq!(addresses, ["10.144.7.7/16".parse().unwrap(), "fd76::7/64".parse().unwrap()]);
        for to in ["192.0.2.1:9", "[2001:db8::1]:9"] {
            let any = if to.starts_with('[') { "[::]:0" } else { "0.0.0.0:0" };
            let from = std::net::UdpSocket::bind(any).unwrap();
            from.connect(to).unwrap_or_else(|e| panic!("no way to {to}: {e}"));
        }
        let gateway = ("10.144.0.1".parse().unwrap(), Mac([2, 0, 0, 0, 0, 1]));
        assert_eq!(links.neighbours(net1.index).unwrap(), [gateway]);
        assert_eq!(file("hosts"), "10.144.7.7\tbox\n");
        assert_eq!(file("resolv.conf"), "nameserver 192.0.2.53\n");

        // Others come and go; the interface, and what the container made of a
        // file that has not changed, stay.
        fs::write(dir.path().join("etc/resolv.conf"), "mine\n").unwrap();
        let hosts = "10.144.7.7\tbox\n10.144.7.8\tweb\n".to_owned();
        let others = Network { hosts: hosts.clone(), ..network() };
        nics.apply(others, &mut modules, &root).unwrap();
        assert_eq!((file("hosts"), file("resolv.conf")), (hosts, "mine\n".to_owned()));

        // Pulled out and plugged in again, it is set up again.
        links.remove(net1.index).unwrap();
        nics.apply(Network { interfaces: vec![], ..network() }, &mut modules, &root).unwrap();
        plug(&links);
        nics.apply(network(), &mut modules, &root).unwrap();
        let net1 = links.find("net1").unwrap().unwrap();
        assert_eq!(links.addresses(net1.index).unwrap().len(), 2);
    }
}
