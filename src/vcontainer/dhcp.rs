//! The answer to one guest that asks for its address by DHCP (RFC 2131).
//!
//! The address is leased before the DomU is made; this only tells it to the guest.
//! Every monitor listens on the bridge and answers its own guest's hardware address
//! alone, so any number of them get along.

use std::ffi::OsString;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use dhcproto::v4::{
    CLIENT_PORT, DhcpOption, Flags, Message, MessageType, Opcode, OptionCode, SERVER_PORT,
};
use dhcproto::{Decodable, Decoder, Encodable, Encoder};
use ipnet::Ipv4Net;
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrIn, bind, setsockopt, socket, sockopt,
};

use crate::libxl::Mac;

/// What the guest is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// Whose it is.
    pub mac: Mac,
    /// Its address, and the length of its network's prefix.
    pub address: Ipv4Net,
    /// This host's address on the bridge.
    pub server: Ipv4Addr,
    /// Through which everything else is reached.
    pub router: Option<Ipv4Addr>,
    /// Who knows names.
    pub dns: Vec<Ipv4Addr>,
    /// MTU of the interface in bytes.
    pub mtu: u32,
}

/// An address does not change while its DomU lives.
const FOR_EVER: u32 = u32::MAX;
/// The longest message that is read; guests send some 300 bytes.
const MAX_MESSAGE: usize = 1500;

/// A socket on the bridge.
#[derive(Debug)]
pub struct Dhcp {
    socket: UdpSocket,
    offer: Offer,
}

impl Dhcp {
    /// Listens on `bridge`.
    pub fn open(bridge: &str, offer: Offer) -> io::Result<Dhcp> {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let socket = socket(AddressFamily::Inet, SockType::Datagram, flags, None)?;
        setsockopt(&socket, sockopt::ReuseAddr, &true)?;
        setsockopt(&socket, sockopt::Broadcast, &true)?;
        setsockopt(&socket, sockopt::BindToDevice, &OsString::from(bridge))?;
        let any = SockaddrIn::from(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, SERVER_PORT));
        bind(socket.as_raw_fd(), &any)?;
        Ok(Dhcp { socket: socket.into(), offer })
    }

    /// Answers what has come. The guest has no address yet, so all on the bridge
    /// hear it; they know by the hardware address that it is not for them.
    pub fn serve(&self) -> io::Result<()> {
        let mut buffer = [0; MAX_MESSAGE];
        loop {
            let length = match self.socket.recv(&mut buffer) {
                Ok(length) => length,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(e),
            };
            if let Some(answer) = self.offer.answer(&buffer[..length]) {
                self.socket.send_to(&answer, (Ipv4Addr::BROADCAST, CLIENT_PORT))?;
            }
        }
    }
}

impl AsFd for Dhcp {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Offer {
    /// The answer to a message of our guest's; none to anybody else's.
    fn answer(&self, message: &[u8]) -> Option<Vec<u8>> {
        let request = Message::decode(&mut Decoder::new(message)).ok()?;
        if request.opcode() != Opcode::BootRequest || request.chaddr() != self.mac.0 {
            return None;
        }
        let (kind, address) = match request.opts().msg_type()? {
            MessageType::Discover => (MessageType::Offer, self.address.addr()),
            MessageType::Request if !self.is_asked(&request) => return None,
            MessageType::Request if self.is_wanted(&request) => {
                (MessageType::Ack, self.address.addr())
            }
            MessageType::Request => (MessageType::Nak, Ipv4Addr::UNSPECIFIED),
            MessageType::Inform => (MessageType::Ack, Ipv4Addr::UNSPECIFIED),
            _ => return None,
        };
        let answer = self.message(&request, kind, address);
        let mut bytes = Vec::new();
        answer.encode(&mut Encoder::new(&mut bytes)).ok()?;
        Some(bytes)
    }

    /// Whether the guest has chosen this server, or has not said whom.
    fn is_asked(&self, request: &Message) -> bool {
        match request.opts().get(OptionCode::ServerIdentifier) {
            Some(DhcpOption::ServerIdentifier(server)) => *server == self.server,
            _ => true,
        }
    }

    /// Whether the guest asks for the address that it has.
    fn is_wanted(&self, request: &Message) -> bool {
        let wanted = match request.opts().get(OptionCode::RequestedIpAddress) {
            Some(DhcpOption::RequestedIpAddress(address)) => *address,
            _ => request.ciaddr(),
        };
        wanted == self.address.addr()
    }

    fn message(&self, request: &Message, kind: MessageType, address: Ipv4Addr) -> Message {
        let mut answer = Message::default();
        answer
            .set_opcode(Opcode::BootReply)
            .set_xid(request.xid())
            .set_flags(Flags::default().set_broadcast())
            .set_yiaddr(address)
            .set_chaddr(&self.mac.0);
        let options = answer.opts_mut();
        options.insert(DhcpOption::MessageType(kind));
        options.insert(DhcpOption::ServerIdentifier(self.server));
        if kind == MessageType::Nak {
            return answer;
        }
        options.insert(DhcpOption::AddressLeaseTime(FOR_EVER));
        options.insert(DhcpOption::SubnetMask(self.address.netmask()));
        options.insert(DhcpOption::InterfaceMtu(u16::try_from(self.mtu).unwrap_or(u16::MAX)));
        if let Some(router) = self.router {
            options.insert(DhcpOption::Router(vec![router]));
        }
        if !self.dns.is_empty() {
            options.insert(DhcpOption::DomainNameServer(self.dns.clone()));
        }
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: [u8; 6] = [0, 0x16, 0x3e, 1, 2, 3];

    fn offer() -> Offer {
        Offer {
            mac: Mac(MAC),
            address: "10.9.0.7/24".parse().unwrap(),
            server: Ipv4Addr::new(10, 9, 0, 1),
            router: Some(Ipv4Addr::new(10, 9, 0, 1)),
            dns: vec![Ipv4Addr::new(9, 9, 9, 9)],
            mtu: 1500,
        }
    }

    fn request(mac: &[u8], kind: MessageType, options: &[DhcpOption]) -> Vec<u8> {
        let mut message = Message::default();
        message.set_opcode(Opcode::BootRequest).set_xid(42).set_chaddr(mac);
        message.opts_mut().insert(DhcpOption::MessageType(kind));
        for option in options {
            message.opts_mut().insert(option.clone());
        }
        message.to_vec().unwrap()
    }

    fn answer(bytes: &[u8]) -> Option<Message> {
        let answer = offer().answer(bytes)?;
        Some(Message::decode(&mut Decoder::new(&answer)).unwrap())
    }

    #[test]
    fn a_guest_gets_its_address() {
        let found = answer(&request(&MAC, MessageType::Discover, &[])).unwrap();
        assert_eq!(found.opts().msg_type(), Some(MessageType::Offer));
        assert_eq!((found.xid(), found.yiaddr()), (42, Ipv4Addr::new(10, 9, 0, 7)));
        let mask = found.opts().get(OptionCode::SubnetMask);
        assert_eq!(mask, Some(&DhcpOption::SubnetMask(Ipv4Addr::new(255, 255, 255, 0))));
        let wanted = DhcpOption::RequestedIpAddress(Ipv4Addr::new(10, 9, 0, 7));
        let found = answer(&request(&MAC, MessageType::Request, &[wanted])).unwrap();
        assert_eq!(found.opts().msg_type(), Some(MessageType::Ack));
    }

    #[test]
    fn an_address_that_is_not_its_own_is_refused() {
        let wanted = DhcpOption::RequestedIpAddress(Ipv4Addr::new(10, 9, 0, 8));
        let found = answer(&request(&MAC, MessageType::Request, &[wanted])).unwrap();
        assert_eq!(found.opts().msg_type(), Some(MessageType::Nak));
        assert_eq!(found.yiaddr(), Ipv4Addr::UNSPECIFIED);
    }

    #[test]
    fn others_get_no_answer() {
        assert!(answer(&request(&[9; 6], MessageType::Discover, &[])).is_none());
        assert!(answer(&request(&MAC, MessageType::Release, &[])).is_none());
        let other = DhcpOption::ServerIdentifier(Ipv4Addr::new(10, 9, 0, 2));
        assert!(answer(&request(&MAC, MessageType::Request, &[other])).is_none());
        assert!(answer(b"no DHCP").is_none());
        assert!(answer(&[1; 1500]).is_none());
    }
}
