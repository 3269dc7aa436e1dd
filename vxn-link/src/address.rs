//! Addresses of devices.

use std::io;
use std::net::IpAddr;

use ipnet::IpNet;
use netlink_packet_core::{NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_REPLACE};
use netlink_packet_route::address::{
    AddressAttribute, AddressHeaderFlags, AddressMessage, AddressScope,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};

use crate::Links;

impl Links {
    /// The addresses of the device with `index`, those of its own link left out.
    ///
    /// # Errors
    /// The kernel's.
    pub fn addresses(&self, index: u32) -> io::Result<Vec<IpNet>> {
        let request = RouteNetlinkMessage::GetAddress(AddressMessage::default());
        let answers = self.0.ask(request, NLM_F_DUMP)?;
        Ok(answers.iter().filter_map(|answer| address(answer, index)).collect())
    }

    /// Gives the device with `index` an address; one that it has already is no
    /// error. IPv6 does not look for others who have it (`IFA_F_NODAD`): whoever
    /// hands the addresses out knows that it is alone, and nobody has to wait.
    ///
    /// # Errors
    /// The kernel's.
    pub fn add_address(&self, index: u32, address: IpNet) -> io::Result<()> {
        let message = message(index, address);
        let flags = NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE;
        self.0.ask(RouteNetlinkMessage::NewAddress(message), flags).map(drop)
    }

    /// Takes an address from the device with `index`; one that it does not have
    /// is no error.
    ///
    /// # Errors
    /// The kernel's.
    pub fn remove_address(&self, index: u32, address: IpNet) -> io::Result<()> {
        let request = RouteNetlinkMessage::DelAddress(message(index, address));
        match self.0.ask(request, NLM_F_ACK) {
            Err(e) if e.raw_os_error() == Some(nix::libc::EADDRNOTAVAIL) => Ok(()),
            other => other.map(drop),
        }
    }
}

fn message(index: u32, address: IpNet) -> AddressMessage {
    let mut message = AddressMessage::default();
    message.header.family = family(address.addr());
    message.header.prefix_len = address.prefix_len();
    message.header.index = index;
    message.attributes.push(AddressAttribute::Local(address.addr()));
    message.attributes.push(AddressAttribute::Address(address.addr()));
    match address {
        IpNet::V4(net) => message.attributes.push(AddressAttribute::Broadcast(net.broadcast())),
        IpNet::V6(_) => message.header.flags = AddressHeaderFlags::Nodad,
    }
    message
}

/// The address's family.
pub(crate) fn family(address: IpAddr) -> AddressFamily {
    if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 }
}

fn address(answer: &RouteNetlinkMessage, index: u32) -> Option<IpNet> {
    let RouteNetlinkMessage::NewAddress(message) = answer else { return None };
    if message.header.index != index || message.header.scope == AddressScope::Link {
        return None;
    }
    let of = |wanted: fn(&AddressAttribute) -> Option<IpAddr>| {
        message.attributes.iter().find_map(wanted)
    };
    // The far end's address on a point-to-point device, else the same.
    let local = of(|a| if let AddressAttribute::Local(a) = a { Some(*a) } else { None });
    let plain = of(|a| if let AddressAttribute::Address(a) = a { Some(*a) } else { None });
    IpNet::new(local.or(plain)?, message.header.prefix_len).ok()
}
