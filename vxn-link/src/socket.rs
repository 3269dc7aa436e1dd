//! Requests and answers.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use netlink_packet_core::{
    NLM_F_MULTIPART, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload,
};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_sys::{SocketAddr, protocols::NETLINK_ROUTE};

/// A connected NETLINK_ROUTE socket.
#[derive(Debug)]
pub struct Socket(netlink_sys::Socket);

impl Socket {
    pub fn open() -> io::Result<Socket> {
        let mut socket = netlink_sys::Socket::new(NETLINK_ROUTE)?;
        socket.bind_auto()?;
        socket.connect(&SocketAddr::new(0, 0))?;
        Ok(Socket(socket))
    }

    /// Sends one request and returns what the kernel answers: nothing for an
    /// acknowledgement, several messages for a dump.
    pub fn ask(
        &self,
        request: RouteNetlinkMessage,
        flags: u16,
    ) -> io::Result<Vec<RouteNetlinkMessage>> {
        let mut packet =
            NetlinkMessage::new(NetlinkHeader::default(), NetlinkPayload::from(request));
        packet.header.flags = NLM_F_REQUEST | flags;
        packet.finalize();
        let mut bytes = vec![0; packet.buffer_len()];
        packet.serialize(&mut bytes);
        self.0.send(&bytes, 0)?;
        let mut answers = Vec::new();
        while self.receive(&mut answers)? == More::Yes {}
        Ok(answers)
    }

    /// Subscribes to a group of notifications.
    pub fn subscribe(&self, group: u32) -> io::Result<()> {
        self.0.add_membership(group)
    }

    /// Throws a waiting notification away: that there is one is all it says. One
    /// that was lost because too many came says the same.
    pub fn drain(&self) -> io::Result<()> {
        match self.0.recv_from_full() {
            Err(e) if e.raw_os_error() == Some(nix::libc::ENOBUFS) => Ok(()),
            other => other.map(drop),
        }
    }

    /// One datagram's messages.
    fn receive(&self, into: &mut Vec<RouteNetlinkMessage>) -> io::Result<More> {
        let bytes = loop {
            match self.0.recv_from_full() {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                other => break other?.0,
            }
        };
        let mut rest = &bytes[..];
        let mut more = More::No;
        while !rest.is_empty() {
            let message = NetlinkMessage::<RouteNetlinkMessage>::deserialize(rest)
                .map_err(io::Error::other)?;
            // Messages are aligned to four bytes; a length of 0 would never end.
            let length = (message.header.length as usize).max(1).next_multiple_of(4);
            rest = rest.get(length..).unwrap_or_default();
            match message.payload {
                NetlinkPayload::InnerMessage(answer) => {
                    let multipart = message.header.flags & NLM_F_MULTIPART;
                    more = if multipart == 0 { More::No } else { More::Yes };
                    into.push(answer);
                }
                NetlinkPayload::Error(e) if e.code.is_some() => return Err(e.to_io()),
                _ => return Ok(More::No),
            }
        }
        Ok(more)
    }
}

/// Whether more of the same answer follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum More {
    Yes,
    No,
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
