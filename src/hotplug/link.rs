//! Network devices by rtnetlink(7): one request, one answer.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use nix::libc;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, socket,
};

/// What is known of a network device.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Link {
    /// `ifindex`.
    pub index: u32,
    /// Bytes.
    pub mtu: u32,
    /// `IFLA_INFO_KIND`, empty for a plain device.
    pub kind: String,
    /// `ifindex` of the bridge that it is a port of, or 0.
    pub master: u32,
    /// `IFF_*`.
    pub flags: u32,
    /// Its address, six bytes for Ethernet.
    pub address: Vec<u8>,
}

/// An attribute of a request: type and value.
pub(super) type Attribute<'a> = (u16, &'a [u8]);

/// A NETLINK_ROUTE socket.
#[derive(Debug)]
pub(super) struct Links(OwnedFd);

const HEADER: usize = 16;
const IFINFO: usize = 16;

impl Links {
    pub fn open() -> io::Result<Links> {
        Ok(Links(socket(
            AddressFamily::Netlink,
            SockType::Raw,
            SockFlag::SOCK_CLOEXEC,
            SockProtocol::NetlinkRoute,
        )?))
    }

    /// The device of that name in this network namespace, if there is one.
    pub fn find(&self, name: &str) -> io::Result<Option<Link>> {
        let request = message(libc::RTM_GETLINK, 0, 0, (0, 0), &[(libc::IFLA_IFNAME, &c(name))]);
        match self.ask(&request) {
            Ok(answer) => Ok(Some(parse(&answer)?)),
            Err(e) if e.raw_os_error() == Some(libc::ENODEV) => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Gives the device with `index` these attributes.
    pub fn set(&self, index: u32, attributes: &[Attribute<'_>]) -> io::Result<()> {
        self.set_flags(index, (0, 0), attributes)
    }

    /// The same, and its `IFF_*` flags: those in the second word get the values of the first.
    pub fn set_flags(
        &self,
        index: u32,
        flags: (u32, u32),
        attributes: &[Attribute<'_>],
    ) -> io::Result<()> {
        let ack = libc::NLM_F_ACK as u16;
        self.ask(&message(libc::RTM_NEWLINK, ack, index, flags, attributes)).map(drop)
    }

    /// Sends one request and waits for its answer.
    pub fn ask(&self, request: &[u8]) -> io::Result<Vec<u8>> {
        send(self.0.as_raw_fd(), request, MsgFlags::empty())?;
        let mut answer = vec![0; 1 << 15];
        let n = loop {
            match recv(self.0.as_raw_fd(), &mut answer, MsgFlags::empty()) {
                Err(nix::Error::EINTR) => {}
                other => break other?,
            }
        };
        answer.truncate(n);
        if u16_at(&answer, 4)? == libc::NLMSG_ERROR as u16 {
            match u32_at(&answer, HEADER)? as i32 {
                0 => {}
                error => return Err(io::Error::from_raw_os_error(error.wrapping_neg())),
            }
        }
        Ok(answer)
    }
}

/// `nlmsghdr`, `ifinfomsg` with `flags` (values, mask), attributes.
pub(super) fn message(
    kind: u16,
    nlm_flags: u16,
    index: u32,
    flags: (u32, u32),
    attributes: &[Attribute<'_>],
) -> Vec<u8> {
    let mut message = vec![0; 4];
    message.extend(kind.to_ne_bytes());
    message.extend((libc::NLM_F_REQUEST as u16 | nlm_flags).to_ne_bytes());
    message.extend([0; 12]);
    message.extend(index.to_ne_bytes());
    message.extend(flags.0.to_ne_bytes());
    message.extend(flags.1.to_ne_bytes());
    for attribute in attributes {
        append(&mut message, *attribute);
    }
    let len = message.len() as u32;
    message[..4].copy_from_slice(&len.to_ne_bytes());
    message
}

/// `rtattr`: length, type, value, padding to four bytes.
pub(super) fn append(message: &mut Vec<u8>, (kind, value): Attribute<'_>) {
    message.extend((4 + value.len() as u16).to_ne_bytes());
    message.extend(kind.to_ne_bytes());
    message.extend(value);
    message.resize(message.len().next_multiple_of(4), 0);
}

/// A name as attributes have it, with its NUL.
pub(super) fn c(name: &str) -> Vec<u8> {
    [name.as_bytes(), b"\0"].concat()
}

fn parse(answer: &[u8]) -> io::Result<Link> {
    let mut link = Link {
        index: u32_at(answer, HEADER + 4)?,
        flags: u32_at(answer, HEADER + 8)?,
        ..Link::default()
    };
    for (kind, value) in attributes(answer.get(HEADER + IFINFO..).unwrap_or_default()) {
        match kind {
            libc::IFLA_MTU => link.mtu = u32_at(value, 0)?,
            libc::IFLA_MASTER => link.master = u32_at(value, 0)?,
            libc::IFLA_ADDRESS => link.address = value.to_vec(),
            libc::IFLA_LINKINFO => {
                let info = attributes(value).find(|(kind, _)| *kind == libc::IFLA_INFO_KIND);
                let name = info.map_or(&[][..], |(_, name)| name);
                link.kind = String::from_utf8_lossy(name).trim_end_matches('\0').to_owned();
            }
            _ => {}
        }
    }
    Ok(link)
}

fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = Attribute<'_>> {
    std::iter::from_fn(move || {
        let len = usize::from(u16_at(bytes, 0).ok()?);
        let kind = u16_at(bytes, 2).ok()?;
        let value = bytes.get(4..len)?;
        bytes = bytes.get(len.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    })
}

fn u16_at(bytes: &[u8], at: usize) -> io::Result<u16> {
    let bytes = bytes.get(at..at + 2).ok_or(io::ErrorKind::UnexpectedEof)?;
    Ok(u16::from_ne_bytes([bytes[0], bytes[1]]))
}

fn u32_at(bytes: &[u8], at: usize) -> io::Result<u32> {
    let bytes = bytes.get(at..at + 4).ok_or(io::ErrorKind::UnexpectedEof)?;
    Ok(u32::from_ne_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
}
