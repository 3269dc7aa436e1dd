//! Network devices, addresses, routes, neighbours and redirects by rtnetlink(7): one
//! request, one answer. Dom0 makes bridges and ports with it, the guest sets its
//! interfaces up.

mod address;
mod change;
mod error;
mod mac;
mod neighbour;
mod redirect;
mod route;
mod socket;
mod wait;

use std::io;

use netlink_packet_core::{NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{InfoKind, LinkAttribute, LinkInfo, LinkLayerType, LinkMessage};

pub use change::Change;
pub use error::LinkError;
pub use mac::{Mac, ParseMacError};
pub use netlink_packet_route::link::LinkFlags;
pub use route::Route;
use socket::Socket;

/// What is known of a network device.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Link {
    /// `ifindex`.
    pub index: u32,
    /// Its name in this network namespace.
    pub name: String,
    /// Bytes.
    pub mtu: u32,
    /// `IFLA_INFO_KIND`, empty for a plain device.
    pub kind: String,
    /// `ifindex` of the bridge that it is a port of, or 0.
    pub master: u32,
    /// `IFF_*`.
    pub flags: LinkFlags,
    /// Whether it carries Ethernet frames (`ARPHRD_ETHER`).
    pub ethernet: bool,
    /// Its address, six bytes for Ethernet.
    pub address: Vec<u8>,
    /// `IFLA_IFALIAS`: a note that people and programs leave on a device.
    pub alias: String,
}

/// A NETLINK_ROUTE socket.
#[derive(Debug)]
pub struct Links(Socket);

impl Links {
    /// Opens a socket to the network namespace of this thread.
    ///
    /// # Errors
    /// The kernel's.
    pub fn open() -> io::Result<Links> {
        Socket::open().map(Links)
    }

    /// The device of that name, if there is one.
    ///
    /// # Errors
    /// The kernel's.
    pub fn find(&self, name: &str) -> io::Result<Option<Link>> {
        let message = with([LinkAttribute::IfName(name.to_owned())]);
        match self.0.ask(RouteNetlinkMessage::GetLink(message), 0) {
            Ok(answers) => Ok(answers.into_iter().find_map(link)),
            Err(e) if e.raw_os_error() == Some(nix::libc::ENODEV) => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// All devices.
    ///
    /// # Errors
    /// The kernel's.
    pub fn list(&self) -> io::Result<Vec<Link>> {
        let answers = self.0.ask(RouteNetlinkMessage::GetLink(with([])), NLM_F_DUMP)?;
        Ok(answers.into_iter().filter_map(link).collect())
    }

    /// The start of a change of the device with `index`.
    pub fn change(&self, index: u32) -> Change<'_> {
        Change::new(&self.0, index)
    }

    /// Makes a device of that kind (`bridge`, `veth`), which is down.
    ///
    /// # Errors
    /// The kernel's: `EEXIST` when the name is taken, `EOPNOTSUPP` when it does
    /// not know the kind.
    pub fn add(&self, name: &str, kind: &str) -> io::Result<()> {
        let info = LinkInfo::Kind(InfoKind::Other(kind.to_owned()));
        let message =
            with([LinkAttribute::IfName(name.to_owned()), LinkAttribute::LinkInfo(vec![info])]);
        let flags = NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL;
        self.0.ask(RouteNetlinkMessage::NewLink(message), flags).map(drop)
    }

    /// Removes the device with `index`.
    ///
    /// # Errors
    /// The kernel's.
    pub fn remove(&self, index: u32) -> io::Result<()> {
        let mut message = LinkMessage::default();
        message.header.index = index;
        self.0.ask(RouteNetlinkMessage::DelLink(message), NLM_F_ACK).map(drop)
    }
}

fn with<const N: usize>(attributes: [LinkAttribute; N]) -> LinkMessage {
    let mut message = LinkMessage::default();
    message.attributes.extend(attributes);
    message
}

/// A device as the kernel tells of it.
fn link(answer: RouteNetlinkMessage) -> Option<Link> {
    let RouteNetlinkMessage::NewLink(message) = answer else { return None };
    let (index, flags) = (message.header.index, message.header.flags);
    let ethernet = message.header.link_layer_type == LinkLayerType::Ether;
    let mut link = Link { index, flags, ethernet, ..Link::default() };
    for attribute in message.attributes {
        match attribute {
            LinkAttribute::IfName(name) => link.name = name,
            LinkAttribute::Mtu(mtu) => link.mtu = mtu,
            LinkAttribute::Controller(index) => link.master = index,
            LinkAttribute::Address(address) => link.address = address,
            LinkAttribute::IfAlias(alias) => link.alias = alias,
            LinkAttribute::LinkInfo(infos) => {
                link.kind = infos.into_iter().find_map(kind).unwrap_or_default();
            }
            _ => {}
        }
    }
    Some(link)
}

fn kind(info: LinkInfo) -> Option<String> {
    match info {
        LinkInfo::Kind(kind) => Some(kind.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
