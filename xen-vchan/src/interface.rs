//! The first shared page: `struct vchan_interface` of `xen/io/libxenvchan.h`.

use std::mem::offset_of;
use std::sync::Arc;
use std::sync::atomic::Ordering::{Acquire, Release, SeqCst};
use std::sync::atomic::fence;

use xen_sys::{VCHAN_NOTIFY_READ, VCHAN_NOTIFY_WRITE, vchan_interface};

use crate::sys::{GrantClient, Memory};
use crate::{Error, Result, State, ring};

const DEAD: u8 = 0;
const ALIVE: u8 = 1;
const NOT_YET: u8 = 2;

/// Which end we are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Server,
    Client,
}

impl Side {
    fn peer(self) -> Side {
        match self {
            Side::Server => Side::Client,
            Side::Client => Side::Server,
        }
    }

    /// Offset of the byte that says whether this side lives.
    pub fn live(self) -> usize {
        match self {
            Side::Server => offset_of!(vchan_interface, srv_live),
            Side::Client => offset_of!(vchan_interface, cli_live),
        }
    }

    /// Offset of the bits that tell this side what to notify of.
    fn duties(self) -> usize {
        match self {
            Side::Server => offset_of!(vchan_interface, srv_notify),
            Side::Client => offset_of!(vchan_interface, cli_notify),
        }
    }
}

/// The page and our side of it.
#[derive(Debug)]
pub struct Interface {
    page: Memory,
    side: Side,
}

/// The rings that a server offers.
#[derive(Debug)]
pub struct Layout {
    pub left_order: u16,
    pub right_order: u16,
    left: Vec<u32>,
    right: Vec<u32>,
}

impl Interface {
    /// Fills a page that no client knows yet. `grants` are the references of the
    /// left ring's pages, then of the right ring's.
    pub fn new_server(page: Memory, left: u16, right: u16, grants: &[u32]) -> Interface {
        page.write(0, &vec![0; page.len()]);
        page.write(offset_of!(vchan_interface, left_order), &left.to_ne_bytes());
        page.write(offset_of!(vchan_interface, right_order), &right.to_ne_bytes());
        let bytes: Vec<u8> = grants.iter().flat_map(|g| g.to_ne_bytes()).collect();
        page.write(offset_of!(vchan_interface, grants), &bytes);
        page.byte(Side::Client.live()).store(NOT_YET, Release);
        page.byte(Side::Server.live()).store(ALIVE, Release);
        page.byte(Side::Client.duties()).store(VCHAN_NOTIFY_WRITE as u8, Release);
        Interface { page, side: Side::Server }
    }

    pub fn new_client(page: Memory) -> Interface {
        Interface { page, side: Side::Client }
    }

    /// Tells the server that we are here; the event comes after.
    pub fn announce_client(&self) {
        self.page.byte(Side::Client.live()).store(ALIVE, SeqCst);
        self.page.byte(Side::Server.duties()).store(VCHAN_NOTIFY_WRITE as u8, SeqCst);
    }

    /// Reads once what the server offers, and checks it.
    pub fn layout(&self) -> Result<Layout> {
        let left_order = self.order(offset_of!(vchan_interface, left_order));
        let right_order = self.order(offset_of!(vchan_interface, right_order));
        let bad = || Error::BadRings { left: left_order, right: right_order };
        let left_pages = ring::pages(left_order).ok_or_else(bad)?;
        let right_pages = ring::pages(right_order).ok_or_else(bad)?;
        if left_pages == 0 && left_order == right_order {
            return Err(bad()); // both in the same place
        }
        let mut grants = vec![0; (left_pages + right_pages) * size_of::<u32>()];
        self.page.read(offset_of!(vchan_interface, grants), &mut grants);
        let mut left: Vec<u32> = grants
            .chunks_exact(size_of::<u32>())
            .map(|c| u32::from_ne_bytes([c[0], c[1], c[2], c[3]]))
            .collect();
        let right = left.split_off(left_pages);
        Ok(Layout { left_order, right_order, left, right })
    }

    fn order(&self, offset: usize) -> u16 {
        let mut bytes = [0; 2];
        self.page.read(offset, &mut bytes);
        u16::from_ne_bytes(bytes)
    }

    pub fn page(&self) -> &Memory {
        &self.page
    }

    pub fn load(&self, index: usize) -> u32 {
        self.page.word(index).load(Acquire)
    }

    pub fn store(&self, index: usize, value: u32) {
        self.page.word(index).store(value, Release);
    }

    pub fn peer_state(&self) -> State {
        match (self.page.byte(self.side.peer().live()).load(SeqCst), self.side) {
            (DEAD, _) => State::Closed,
            (NOT_YET, Side::Server) => State::Waiting,
            _ => State::Connected,
        }
    }

    pub fn leave(&self) {
        self.page.byte(self.side.live()).store(DEAD, SeqCst);
    }

    /// Asks the peer for an event when it writes next.
    pub fn request_write_notification(&self) {
        self.request(VCHAN_NOTIFY_WRITE);
    }

    /// Asks the peer for an event when it reads next.
    pub fn request_read_notification(&self) {
        self.request(VCHAN_NOTIFY_READ);
    }

    /// Whether the peer wants an event after we wrote. Answers once per request.
    pub fn peer_awaits_write(&self) -> bool {
        self.requested(VCHAN_NOTIFY_WRITE)
    }

    /// Whether the peer wants an event after we read. Answers once per request.
    pub fn peer_awaits_read(&self) -> bool {
        self.requested(VCHAN_NOTIFY_READ)
    }

    fn request(&self, bit: u32) {
        self.page.byte(self.side.peer().duties()).fetch_or(bit as u8, SeqCst);
        fence(SeqCst); // the request before the caller's second look at the index
    }

    fn requested(&self, bit: u32) -> bool {
        fence(SeqCst); // our index before the look at the request
        self.page.byte(self.side.duties()).fetch_and(!(bit as u8), SeqCst) & bit as u8 != 0
    }
}

impl Layout {
    /// Maps the rings that have pages of their own: (left, right). We write the
    /// left one and only read the right one.
    pub fn map(
        &self,
        grants: &Arc<GrantClient>,
        domid: u32,
    ) -> Result<(Option<Memory>, Option<Memory>)> {
        let map = |references: &[u32], writable| match references {
            [] => Ok(None),
            _ => grants.map(domid, references, writable).map(Some),
        };
        Ok((map(&self.left, true)?, map(&self.right, false)?))
    }
}
