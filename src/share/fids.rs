//! The guest's names of inodes.

use std::collections::BTreeMap;

use nix::errno::Errno;

use super::message::FidId;
use super::node::Node;

/// An inode that the guest has a name for.
#[derive(Debug)]
pub struct Fid {
    /// The inode.
    pub node: Node,
    /// Whom that belongs to which is made by way of this fid.
    pub owner: u32,
    /// It was opened for reading or writing.
    pub open: bool,
}

/// All fids of a connection, so many at most.
#[derive(Debug)]
pub struct Fids {
    table: BTreeMap<FidId, Fid>,
    limit: usize,
}

impl Fids {
    /// None yet.
    pub fn new(limit: usize) -> Fids {
        Fids { table: BTreeMap::new(), limit }
    }

    /// The fid of that number.
    pub fn get(&self, id: FidId) -> nix::Result<&Fid> {
        self.table.get(&id).ok_or(Errno::EBADF)
    }

    /// The same, for one that is to become another.
    pub fn get_mut(&mut self, id: FidId) -> nix::Result<&mut Fid> {
        self.table.get_mut(&id).ok_or(Errno::EBADF)
    }

    /// Whether a number may be given to something new.
    ///
    /// # Errors
    /// EBADF when it is taken, ENFILE when there are too many.
    pub fn check_free(&self, id: FidId) -> nix::Result<()> {
        if self.table.contains_key(&id) {
            return Err(Errno::EBADF);
        }
        if self.table.len() >= self.limit { Err(Errno::ENFILE) } else { Ok(()) }
    }

    /// Gives a number to something, in place of what had it.
    pub fn set(&mut self, id: FidId, fid: Fid) {
        self.table.insert(id, fid);
    }

    /// Forgets a number.
    pub fn remove(&mut self, id: FidId) -> nix::Result<()> {
        self.table.remove(&id).map(drop).ok_or(Errno::EBADF)
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        self.table.clear();
    }
}
