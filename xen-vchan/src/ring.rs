//! The two rings of a channel. Our own index lives here and is only published to
//! the shared page, so the peer cannot move it; the peer's index is checked each
//! time it is read.

use std::io;
use std::mem::offset_of;

use xen_sys::{ring_shared, vchan_interface};

use crate::interface::Interface;
use crate::sys::Memory;
use crate::{Error, MAX_RING, Result};

/// A page is `1 << PAGE_ORDER` bytes, on every architecture that Xen runs on.
pub const PAGE_ORDER: u16 = 12;
/// Rings of these orders lie in the first page, at `1 << order`.
const IN_PAGE: [u16; 2] = [10, 11];
const MAX_ORDER: u16 = MAX_RING.trailing_zeros() as u16;

/// The order of a ring of at least `bytes` bytes and one page.
pub fn order(bytes: usize) -> Result<u16> {
    if bytes > MAX_RING {
        return Err(Error::RingSize(bytes));
    }
    let order = bytes.next_power_of_two().trailing_zeros() as u16;
    Ok(order.max(PAGE_ORDER))
}

/// How many pages of its own a ring has, or `None` when there is no such ring.
pub fn pages(order: u16) -> Option<usize> {
    match order {
        _ if IN_PAGE.contains(&order) => Some(0),
        PAGE_ORDER..=MAX_ORDER => Some(1 << (order - PAGE_ORDER)),
        _ => None,
    }
}

/// Where a ring lies.
#[derive(Debug)]
pub struct Ring {
    /// Offset of its `ring_shared` in the first page.
    indices: usize,
    /// In bytes, a power of two.
    size: u32,
    /// Its own pages; the first page when there are none.
    data: Option<Memory>,
}

impl Ring {
    /// From client to server.
    pub fn left(order: u16, data: Option<Memory>) -> Ring {
        Ring { indices: offset_of!(vchan_interface, left), size: 1 << order, data }
    }

    /// From server to client.
    pub fn right(order: u16, data: Option<Memory>) -> Ring {
        Ring { indices: offset_of!(vchan_interface, right), size: 1 << order, data }
    }

    fn produced(&self) -> usize {
        self.indices + offset_of!(ring_shared, prod)
    }

    fn consumed(&self) -> usize {
        self.indices + offset_of!(ring_shared, cons)
    }

    /// The bytes between two indices, if there can be so many.
    fn distance(&self, from: u32, to: u32) -> io::Result<u32> {
        let bytes = to.wrapping_sub(from);
        if bytes > self.size {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "the other end of the channel has corrupted a ring",
            ));
        }
        Ok(bytes)
    }

    /// The memory that holds the ring and its offset there.
    fn memory<'a>(&'a self, interface: &'a Interface) -> (&'a Memory, usize) {
        match &self.data {
            Some(memory) => (memory, 0),
            None => (interface.page(), self.size as usize),
        }
    }

    /// Splits `len` bytes at `index` into the part up to the end of the ring and
    /// the part that wraps around: (position, length of the first part).
    fn split(&self, index: u32, len: usize) -> (usize, usize) {
        let position = (index & (self.size - 1)) as usize;
        (position, len.min(self.size as usize - position))
    }
}

/// The end that takes bytes out.
#[derive(Debug)]
pub struct Consumer {
    ring: Ring,
    index: u32,
}

impl Consumer {
    pub fn new(ring: Ring, interface: &Interface) -> Consumer {
        let index = interface.load(ring.consumed());
        Consumer { ring, index }
    }

    /// How many bytes can be taken.
    pub fn ready(&self, interface: &Interface) -> io::Result<usize> {
        let produced = interface.load(self.ring.produced());
        Ok(self.ring.distance(self.index, produced)? as usize)
    }

    /// Fills `buf`, which is no longer than what is ready.
    pub fn take(&mut self, interface: &Interface, buf: &mut [u8]) {
        let (memory, base) = self.ring.memory(interface);
        let (position, first) = self.ring.split(self.index, buf.len());
        let (head, tail) = buf.split_at_mut(first);
        memory.read(base + position, head);
        memory.read(base, tail);
        self.index = self.index.wrapping_add(buf.len() as u32);
        interface.store(self.ring.consumed(), self.index);
    }
}

/// The end that puts bytes in.
#[derive(Debug)]
pub struct Producer {
    ring: Ring,
    index: u32,
}

impl Producer {
    pub fn new(ring: Ring, interface: &Interface) -> Producer {
        let index = interface.load(ring.produced());
        Producer { ring, index }
    }

    /// How many bytes fit.
    pub fn space(&self, interface: &Interface) -> io::Result<usize> {
        let consumed = interface.load(self.ring.consumed());
        Ok((self.ring.size - self.ring.distance(consumed, self.index)?) as usize)
    }

    /// Puts in `buf`, which is no longer than the space.
    pub fn put(&mut self, interface: &Interface, buf: &[u8]) {
        let (memory, base) = self.ring.memory(interface);
        let (position, first) = self.ring.split(self.index, buf.len());
        let (head, tail) = buf.split_at(first);
        memory.write(base + position, head);
        memory.write(base, tail);
        self.index = self.index.wrapping_add(buf.len() as u32);
        interface.store(self.ring.produced(), self.index);
    }
}
