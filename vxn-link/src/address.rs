//! Addresses of devices, and routes.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use netlink_packet_core::{NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_REPLACE};
use netlink_packet_route::address::{
    AddressAttribute, AddressHeaderFlags, AddressMessage, AddressScope,
};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteProtocol, RouteScope, RouteType,
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

    /// Sends everything that has no other way to `gateway` through the device.
    ///
    /// # Errors
    /// The kernel's: `ENETUNREACH` when the gateway is not on the device's net.
    pub fn add_default_route(&self, index: u32, gateway: IpAddr) -> io::Result<()> {
        let mut message = RouteMessage::default();
        message.header.address_family = family(gateway);
        message.header.table = RouteHeader::RT_TABLE_MAIN;
        message.header.protocol = RouteProtocol::Static;
        message.header.scope = RouteScope::Universe;
        message.header.kind = RouteType::Unicast;
        message.attributes.push(RouteAttribute::Gateway(match gateway {
            IpAddr::V4(address) => RouteAddress::Inet(address),
            IpAddr::V6(address) => RouteAddress::Inet6(address),
        }));
        message.attributes.push(RouteAttribute::Oif(index));
        let flags = NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE;
        self.0.ask(RouteNetlinkMessage::NewRoute(message), flags).map(drop)
    }

    /// The networks that this host has a way to without a gateway, the loopback
    /// aside: what an address range of one's own must not overlap.
    ///
    /// # Errors
    /// The kernel's.
    pub fn connected(&self) -> io::Result<Vec<IpNet>> {
        let mut nets = Vec::new();
        for (family, any) in [
            (AddressFamily::Inet, IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
            (AddressFamily::Inet6, IpAddr::V6(Ipv6Addr::UNSPECIFIED)),
        ] {
            let mut message = RouteMessage::default();
            message.header.address_family = family;
            let answers = self.0.ask(RouteNetlinkMessage::GetRoute(message), NLM_F_DUMP)?;
            nets.extend(answers.iter().filter_map(|answer| route(answer, any)));
        }
        Ok(nets)
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

fn family(address: IpAddr) -> AddressFamily {
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

fn route(answer: &RouteNetlinkMessage, any: IpAddr) -> Option<IpNet> {
    let RouteNetlinkMessage::NewRoute(message) = answer else { return None };
    let header = &message.header;
    if header.table != RouteHeader::RT_TABLE_MAIN || header.kind != RouteType::Unicast {
        return None;
    }
    let mut destination = any;
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Gateway(_) | RouteAttribute::Via(_) => return None,
            RouteAttribute::Destination(RouteAddress::Inet(a)) => destination = IpAddr::V4(*a),
            RouteAttribute::Destination(RouteAddress::Inet6(a)) => destination = IpAddr::V6(*a),
            _ => {}
        }
    }
    let net = IpNet::new(destination, header.destination_prefix_length).ok()?;
    let link_local = matches!(destination, IpAddr::V6(a) if a.is_unicast_link_local());
    (net.prefix_len() > 0 && !link_local).then_some(net)
}
