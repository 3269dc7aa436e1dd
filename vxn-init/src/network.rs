//! The guest's network interfaces, set up as the host says: addresses and
//! routes are known, so nothing asks for them and nothing waits for an answer.

use std::{fs, io, net::IpAddr, path::Path, time::Duration};

use ipnet::IpNet;
use vxn_link::{Link, LinkFlags, Links};
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
    now: Network,
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
        Ok(Self { driver, now: Network::default() })
    }

    /// Makes interfaces and files as they are wanted, and returns when packets
    /// can pass.
    ///
    /// # Errors
    /// The kernel's; an interface that does not come.
    pub fn apply(&mut self, wanted: Network, root: &Rootfs) -> Result<()> {
        let known: Vec<[u8; 6]> = self.now.interfaces.iter().map(|known| known.mac).collect();
        let new = wanted.interfaces.iter().filter(|new| !known.contains(&new.mac));
        for interface in new {
            self.set_up(interface)?;
        }
        if wanted.hosts != self.now.hosts {
            root.replace("/etc", "hosts", &wanted.hosts)?;
        }
        if wanted.resolv_conf != self.now.resolv_conf {
            root.replace("/etc", "resolv.conf", &wanted.resolv_conf)?;
        }
        self.now = wanted;
        Ok(())
    }

    fn set_up(&mut self, interface: &Interface) -> Result<()> {
        let links = Links::open().context("open a netlink socket")?;
        let shown = vxn_link::Mac(interface.mac);
        let here = |link: &Link| link.address == interface.mac;
        let link = wait(&links, &format!("network interface {shown}"), here)?;
        let name = &link.name;
        // Neighbours that knew the address as somebody else's hear of the change.
        switch(&format!("ipv4/conf/{name}/arp_notify"), "1")?;
        // What a router on the same bridge says is not for us.
        switch(&format!("ipv6/conf/{name}/accept_ra"), "0")?;
        let what = format!("set up network interface {name}");
        links.change(link.index).mtu(interface.mtu).apply().context(&what)?;
        for (address, length) in addresses(interface) {
            let net = IpNet::new(address, length)
                .map_err(|e| Error::Protocol(format!("address {address}/{length}: {e}")))?;
            links.add_address(link.index, net).context(format_args!("give {name} {net}"))?;
        }
        links.change(link.index).up().apply().context(&what)?;
        let up = |link: &Link| here(link) && link.flags.contains(LinkFlags::LowerUp);
        wait(&links, &format!("connection of network interface {name}"), up)?;
        for gateway in interface.gateways.iter().filter(|gateway| spoken(gateway)) {
            links
                .add_default_route(link.index, *gateway)
                .context(format_args!("reach others by {gateway}"))?;
        }
        self.driver.take().map_or(Ok(()), Loading::finish)
    }
}

fn wait(links: &Links, what: &str, wanted: impl Fn(&Link) -> bool) -> Result<Link> {
    let found = links.wait(PATIENCE, wanted).context("wait for a network interface")?;
    let late = || Error::Other(format!("no {what} within {} s", PATIENCE.as_secs()));
    found.ok_or_else(late)
}

/// The addresses of an interface, as far as this kernel speaks their IP.
fn addresses(interface: &Interface) -> impl Iterator<Item = (IpAddr, u8)> {
    interface.addresses.iter().filter(|(address, _)| spoken(address)).copied()
}

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
