//! A byte channel between two Xen domains: both ends of a vchan.
//!
//! The protocol is that of `xen/include/public/io/libxenvchan.h`, and either end
//! may be a program that uses libxenvchan. The implementation is our own, on
//! libxengnttab, libxenevtchn and libxenstore, for two reasons: libxenvchan frees
//! pointers that it never set when the server cannot be set up (no grants left is
//! enough), and it answers a corrupted ring with an endless "nothing to read".
//! Those three libraries also keep their ABI from release to release of Xen.
//!
//! The peer may be hostile. It can write anything to the shared pages at any time;
//! the worst that it gets is an error on this side.
//!
//! Both ends are non-blocking and made for `poll(2)`:
//!
//! ```no_run
//! # fn wait(_: &impl std::os::fd::AsFd) {}
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut channel = xen_vchan::Vchan::connect(0, "/local/domain/1/vxn/channel")?;
//! let mut buf = [0; 4096];
//! loop {
//!     match channel.read(&mut buf) {
//!         Ok(0) => break, // closed
//!         Ok(n) => println!("{n} bytes"),
//!         Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => {
//!             wait(&channel); // poll(2) for POLLIN, also when waiting to write
//!             channel.acknowledge()?;
//!         }
//!         Err(e) => return Err(e.into()),
//!     }
//! }
//! # Ok(())
//! # }
//! ```

mod error;
mod interface;
mod link;
mod ring;
mod sys;
#[cfg(test)]
mod tests;

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use interface::{Interface, Side};
use link::Link;
use ring::Ring;
use sys::{EventChannel, GrantClient, GrantServer, Store};

pub use error::{Error, Result};

/// The largest ring in bytes: more grants would not fit in the first page.
pub const MAX_RING: usize = 1 << 20;

/// What is known of the other end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// No client has connected yet (the server's side only).
    Waiting,
    /// Both ends are open.
    Connected,
    /// The other end has closed the channel or its process has died. What it sent
    /// before can still be read. The death of a whole domain does not show here;
    /// the toolstack reports that.
    Closed,
}

/// One end of a channel. Dropping it closes it and tells the other end.
#[derive(Debug)]
pub struct Vchan {
    // In the order of dropping: the pages before the event channel, which the
    // kernel signals when they go.
    link: Link,
    event: EventChannel,
    published: Option<Published>,
}

impl Vchan {
    /// Offers a channel to domain `domid` and publishes it below the xenstore
    /// `path`, readable by that domain. Rings are at least `read_ring` and
    /// `write_ring` bytes (this side's directions), rounded up to a power of two
    /// of at least a page, at most [`MAX_RING`].
    pub fn serve(domid: u32, path: &str, read_ring: usize, write_ring: usize) -> Result<Vchan> {
        let (read_order, write_order) = (ring::order(read_ring)?, ring::order(write_ring)?);
        let event = EventChannel::listen(domid)?;
        let grants = Arc::new(GrantServer::open()?);
        let (page, reference) = grants.share_page(domid, Side::Server.live(), event.port())?;
        let (left, mut references) = grants.share(domid, 1 << (read_order - ring::PAGE_ORDER))?;
        let (right, more) = grants.share(domid, 1 << (write_order - ring::PAGE_ORDER))?;
        references.extend(more);

        let interface = Interface::new_server(page, read_order, write_order, &references);
        let published = Published::new(domid, path, reference, event.port())?;
        Ok(Vchan {
            link: Link::new(
                Ring::left(read_order, Some(left)),
                Ring::right(write_order, Some(right)),
                interface,
            ),
            event,
            published: Some(published),
        })
    }

    /// Connects to the channel that domain `domid` published below the xenstore
    /// `path`. [`Error::NoServer`] means that nothing is published there.
    pub fn connect(domid: u32, path: &str) -> Result<Vchan> {
        let store = Store::open()?;
        let reference = store.read_number(path, "ring-ref")?;
        let remote_port = store.read_number(path, "event-channel")?;

        let event = EventChannel::connect(domid, remote_port)?;
        let grants = Arc::new(GrantClient::open()?);
        let page = grants.map_page(domid, reference, Side::Client.live(), event.port())?;
        let interface = Interface::new_client(page);
        let layout = interface.layout()?;
        let (left, right) = layout.map(&grants, domid)?;
        let channel = Vchan {
            link: Link::new(
                Ring::right(layout.right_order, right),
                Ring::left(layout.left_order, left),
                interface,
            ),
            event,
            published: None,
        };
        channel.link.interface.announce_client();
        channel.event.notify();
        Ok(channel)
    }

    /// Reads what is there, up to the length of `buf`. `Ok(0)` means that the
    /// other end has closed the channel and everything was read; nothing to read
    /// is [`io::ErrorKind::WouldBlock`], a ring whose indices make no sense
    /// [`io::ErrorKind::InvalidData`]. Read until `WouldBlock` before polling.
    pub fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.link.read(buf, || self.event.notify())
    }

    /// Writes what fits. A full ring is [`io::ErrorKind::WouldBlock`], a closed
    /// channel [`io::ErrorKind::BrokenPipe`], a ring whose indices make no sense
    /// [`io::ErrorKind::InvalidData`]. A server may write before the client comes.
    pub fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.link.write(buf, || self.event.notify())
    }

    /// Whether the other end is there.
    pub fn state(&self) -> State {
        self.link.interface.peer_state()
    }

    /// Takes the events that made [`Vchan::as_fd`] readable, so that it can become
    /// readable again. Call it after every wake-up, before reading and writing. It
    /// never blocks.
    pub fn acknowledge(&self) -> io::Result<()> {
        self.event.acknowledge()
    }
}

impl AsFd for Vchan {
    /// Readable when the other end has read, written, connected or closed: poll it
    /// for `POLLIN`, whatever is awaited.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.event.as_fd()
    }
}

impl Drop for Vchan {
    fn drop(&mut self) {
        self.link.interface.leave();
        self.event.notify();
        if let Some(published) = self.published.take() {
            published.withdraw();
        }
    }
}

/// The id of the domain that this program runs in (xenstore `domid`).
pub fn own_domid() -> Result<u32> {
    Store::open()?.own_domid()
}

/// The xenstore nodes by which a client finds a server.
#[derive(Debug)]
struct Published {
    store: Store,
    path: String,
}

impl Published {
    /// `ring-ref` comes last: a client that sees it finds the rest.
    fn new(domid: u32, path: &str, reference: u32, port: u32) -> Result<Published> {
        let store = Store::open()?;
        let owner = store.own_domid()?;
        store.remove(path)?;
        store.write_number(path, "event-channel", port, owner, domid)?;
        store.write_number(path, "ring-ref", reference, owner, domid)?;
        Ok(Published { store, path: path.to_owned() })
    }

    /// Best effort: the nodes also vanish with the domain that they belong to.
    fn withdraw(self) {
        drop(self.store.remove(&self.path));
    }
}
