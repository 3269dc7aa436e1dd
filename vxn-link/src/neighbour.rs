//! Neighbours: which hardware address has which IP address.

use std::io;
use std::net::IpAddr;

use netlink_packet_core::{NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_REPLACE};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourMessage, NeighbourState,
};

use crate::address::family;
use crate::{Links, Mac};

impl Links {
    /// The neighbours on the device with `index` that somebody has written down
    /// (`NUD_PERMANENT`): nobody asks for them.
    ///
    /// # Errors
    /// The kernel's.
    pub fn neighbours(&self, index: u32) -> io::Result<Vec<(IpAddr, Mac)>> {
        let request = RouteNetlinkMessage::GetNeighbour(NeighbourMessage::default());
        let answers = self.0.ask(request, NLM_F_DUMP)?;
        Ok(answers.iter().filter_map(|answer| neighbour(answer, index)).collect())
    }

    /// Writes down a neighbour on the device with `index`, in place of what was known
    /// of that address.
    ///
    /// # Errors
    /// The kernel's: `ENETDOWN` when the device is down.
    pub fn add_neighbour(&self, index: u32, address: IpAddr, mac: Mac) -> io::Result<()> {
        let mut message = NeighbourMessage::default();
        message.header.family = family(address);
        message.header.ifindex = index;
        message.header.state = NeighbourState::Permanent;
        message.attributes.push(NeighbourAttribute::Destination(match address {
            IpAddr::V4(ip) => NeighbourAddress::Inet(ip),
            IpAddr::V6(ip) => NeighbourAddress::Inet6(ip),
        }));
        message.attributes.push(NeighbourAttribute::LinkLayerAddress(mac.0.to_vec()));
        let flags = NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE;
        self.0.ask(RouteNetlinkMessage::NewNeighbour(message), flags).map(drop)
    }
}

fn neighbour(answer: &RouteNetlinkMessage, index: u32) -> Option<(IpAddr, Mac)> {
    let RouteNetlinkMessage::NewNeighbour(message) = answer else { return None };
    let header = &message.header;
    if header.ifindex != index || header.state != NeighbourState::Permanent {
        return None;
    }
    let (mut address, mut mac) = (None, None);
    for attribute in &message.attributes {
        match attribute {
            NeighbourAttribute::Destination(NeighbourAddress::Inet(ip)) => {
                address = Some(IpAddr::V4(*ip));
            }
            NeighbourAttribute::Destination(NeighbourAddress::Inet6(ip)) => {
                address = Some(IpAddr::V6(*ip));
            }
            NeighbourAttribute::LinkLayerAddress(bytes) => mac = bytes[..].try_into().ok(),
            _ => {}
        }
    }
    Some((address?, Mac(mac?)))
}
