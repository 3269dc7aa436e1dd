//! Routes.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use netlink_packet_core::{NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_REPLACE};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteFlags, RouteHeader, RouteMessage, RouteProtocol, RouteScope,
    RouteType, RouteVia,
};

use crate::Links;
use crate::address::family;

/// A way to other hosts through a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Where it leads.
    pub destination: IpNet,
    /// The host that passes packets on; none where everybody is a neighbour.
    pub gateway: Option<IpAddr>,
    /// The address that packets come from, if not the kernel's choice.
    pub source: Option<IpAddr>,
    /// Its metric, if not the kernel's choice: the route with the least is taken.
    pub metric: Option<u32>,
    /// The gateway is a neighbour though no route says so (`RTNH_F_ONLINK`).
    pub onlink: bool,
}

impl Route {
    /// The way to everything that has no other one.
    pub fn default_by(gateway: IpAddr) -> Route {
        let destination = IpNet::new_assert(any(gateway.is_ipv4()), 0);
        let (source, metric, onlink) = (None, None, false);
        Route { destination, gateway: Some(gateway), source, metric, onlink }
    }
}

/// A route as the kernel tells of it.
struct Found {
    route: Route,
    device: Option<u32>,
    protocol: RouteProtocol,
}

impl Links {
    /// Adds a route through the device with `index`; one with the same destination
    /// and metric is replaced.
    ///
    /// # Errors
    /// The kernel's: `ENETUNREACH` when the gateway is not on the device's net.
    pub fn add_route(&self, index: u32, route: &Route) -> io::Result<()> {
        let flags = NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE;
        self.0.ask(RouteNetlinkMessage::NewRoute(message(index, route)), flags).map(drop)
    }

    /// The routes through the device with `index` that the kernel has not made of its
    /// addresses: those of the main table to single destinations, in its order.
    ///
    /// # Errors
    /// The kernel's.
    pub fn routes(&self, index: u32) -> io::Result<Vec<Route>> {
        let ours =
            |found: &Found| found.device == Some(index) && found.protocol != RouteProtocol::Kernel;
        Ok(self.found()?.into_iter().filter(ours).map(|found| found.route).collect())
    }

    /// The networks that this host has a way to without a gateway, the loopback
    /// aside: what an address range of one's own must not overlap.
    ///
    /// # Errors
    /// The kernel's.
    pub fn connected(&self) -> io::Result<Vec<IpNet>> {
        let direct = self.found()?.into_iter().filter(|found| found.route.gateway.is_none());
        let far = |net: &IpNet| match net {
            IpNet::V6(net) if net.addr().is_unicast_link_local() => false,
            net => net.prefix_len() > 0,
        };
        Ok(direct.map(|found| found.route.destination).filter(far).collect())
    }

    fn found(&self) -> io::Result<Vec<Found>> {
        let mut found = Vec::new();
        for ipv4 in [true, false] {
            let mut message = RouteMessage::default();
            message.header.address_family = family(any(ipv4));
            let answers = self.0.ask(RouteNetlinkMessage::GetRoute(message), NLM_F_DUMP)?;
            found.extend(answers.iter().filter_map(|answer| parse(answer, any(ipv4))));
        }
        Ok(found)
    }
}

fn any(ipv4: bool) -> IpAddr {
    if ipv4 { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() }
}

fn message(index: u32, route: &Route) -> RouteMessage {
    let address = |ip| match ip {
        IpAddr::V4(address) => RouteAddress::Inet(address),
        IpAddr::V6(address) => RouteAddress::Inet6(address),
    };
    let destination = route.destination;
    let mut message = RouteMessage::default();
    let header = &mut message.header;
    header.address_family = family(destination.addr());
    header.destination_prefix_length = destination.prefix_len();
    header.table = RouteHeader::RT_TABLE_MAIN;
    header.protocol = RouteProtocol::Static;
    header.scope = if route.gateway.is_some() { RouteScope::Universe } else { RouteScope::Link };
    header.kind = RouteType::Unicast;
    header.flags = if route.onlink { RouteFlags::Onlink } else { RouteFlags::empty() };
    let attributes = &mut message.attributes;
    attributes.push(RouteAttribute::Destination(address(destination.network())));
    attributes.push(RouteAttribute::Oif(index));
    attributes.extend(route.gateway.map(|gateway| match (destination, gateway) {
        (IpNet::V4(_), IpAddr::V6(ip)) => RouteAttribute::Via(RouteVia::Inet6(ip)),
        (_, gateway) => RouteAttribute::Gateway(address(gateway)),
    }));
    attributes.extend(route.source.map(|source| RouteAttribute::PrefSource(address(source))));
    attributes.extend(route.metric.map(RouteAttribute::Priority));
    message
}

fn parse(answer: &RouteNetlinkMessage, any: IpAddr) -> Option<Found> {
    let RouteNetlinkMessage::NewRoute(message) = answer else { return None };
    let header = &message.header;
    if header.table != RouteHeader::RT_TABLE_MAIN || header.kind != RouteType::Unicast {
        return None;
    }
    let ip = |address: &RouteAddress| match address {
        RouteAddress::Inet(ip) => Some(IpAddr::V4(*ip)),
        RouteAddress::Inet6(ip) => Some(IpAddr::V6(*ip)),
        _ => None,
    };
    let (mut destination, mut device) = (any, None);
    let (mut gateway, mut source, mut metric) = (None, None, None);
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Destination(address) => destination = ip(address)?,
            RouteAttribute::Oif(index) => device = Some(*index),
            RouteAttribute::Gateway(address) => gateway = Some(ip(address)?),
            RouteAttribute::Via(RouteVia::Inet(address)) => gateway = Some((*address).into()),
            RouteAttribute::Via(RouteVia::Inet6(address)) => gateway = Some((*address).into()),
            // By what is no IP address.
            RouteAttribute::Via(_) => return None,
            RouteAttribute::PrefSource(address) => source = ip(address),
            RouteAttribute::Priority(priority) => metric = Some(*priority),
            _ => {}
        }
    }
    let destination = IpNet::new(destination, header.destination_prefix_length).ok()?;
    let onlink = header.flags.contains(RouteFlags::Onlink);
    let route = Route { destination, gateway, source, metric, onlink };
    Some(Found { route, device, protocol: header.protocol })
}
