//! Changes of a network device.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use netlink_packet_core::NLM_F_ACK;
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{LinkAttribute, LinkFlags, LinkMessage};

use crate::socket::Socket;

/// Changes of one device that the kernel makes in one request.
#[derive(Debug)]
#[must_use = "nothing changes before `apply`"]
pub struct Change<'a> {
    socket: &'a Socket,
    message: LinkMessage,
}

impl<'a> Change<'a> {
    pub(crate) fn new(socket: &'a Socket, index: u32) -> Change<'a> {
        let mut message = LinkMessage::default();
        message.header.index = index;
        Change { socket, message }
    }

    fn set(mut self, attribute: LinkAttribute) -> Change<'a> {
        self.message.attributes.push(attribute);
        self
    }

    /// Gives it another name; it has to be down.
    pub fn name(self, name: &str) -> Change<'a> {
        self.set(LinkAttribute::IfName(name.to_owned()))
    }

    /// Gives it a note.
    pub fn alias(self, alias: &str) -> Change<'a> {
        self.set(LinkAttribute::IfAlias(alias.to_owned()))
    }

    /// Gives it a hardware address.
    pub fn address(self, address: [u8; 6]) -> Change<'a> {
        self.set(LinkAttribute::Address(address.to_vec()))
    }

    /// Gives it an MTU in bytes.
    pub fn mtu(self, mtu: u32) -> Change<'a> {
        self.set(LinkAttribute::Mtu(mtu))
    }

    /// Makes it a port of the bridge with that index; 0 takes it off its bridge.
    pub fn master(self, index: u32) -> Change<'a> {
        self.set(LinkAttribute::Controller(index))
    }

    /// Moves it to another network namespace, where it is down.
    pub fn namespace(self, namespace: BorrowedFd<'a>) -> Change<'a> {
        self.set(LinkAttribute::NetNsFd(namespace.as_raw_fd()))
    }

    /// Sets the flags in `on`, clears those in `off`, leaves the others.
    pub fn flags(mut self, on: LinkFlags, off: LinkFlags) -> Change<'a> {
        self.message.header.flags = on;
        self.message.header.change_mask = on | off;
        self
    }

    /// Takes it up.
    pub fn up(self) -> Change<'a> {
        self.flags(LinkFlags::Up, LinkFlags::empty())
    }

    /// Takes it down.
    pub fn down(self) -> Change<'a> {
        self.flags(LinkFlags::empty(), LinkFlags::Up)
    }

    /// Makes the changes.
    ///
    /// # Errors
    /// The kernel's: `ENODEV` when the device is gone.
    pub fn apply(self) -> io::Result<()> {
        self.socket.ask(RouteNetlinkMessage::NewLink(self.message), NLM_F_ACK).map(drop)
    }
}
