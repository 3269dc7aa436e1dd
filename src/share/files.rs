//! Contents of files.

use std::os::fd::AsFd;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::uio::{pread, pwrite};
use nix::unistd::fsync;

use super::message::FidId;
use super::node::{self, Node};
use super::server::Server;
use super::wire::Write9p;

/// Bytes of a message around the data of a read or a write (`P9_IOHDRSZ`).
const OVERHEAD: usize = 24;

/// Flags of open(2) as the protocol has them (`P9_DOTL_*`).
const ACCESS: u32 = 0o3;
const FLAGS: [(u32, OFlag); 4] = [
    (0o1000, OFlag::O_TRUNC),
    (0o2000, OFlag::O_APPEND),
    (0o10000, OFlag::O_DSYNC),
    (0o4_010_000, OFlag::O_SYNC),
];

/// `P9_LOCK_SUCCESS` and `P9_LOCK_TYPE_UNLCK`.
const LOCKED: u8 = 0;
const UNLOCKED: u8 = 2;

impl Server {
    /// Opens what a fid stands for; the fid is the open file from then on.
    pub(super) fn open(&mut self, id: FidId, flags: u32, out: &mut Vec<u8>) -> nix::Result<()> {
        let flags = self.open_flags(flags)?;
        let fid = self.fids.get(id)?;
        let qid = self.qid(&fid.node)?;
        let opened = match &fid.node {
            Node::Top if flags.contains(OFlag::O_WRONLY) => return Err(Errno::EISDIR),
            Node::Top => Node::Top,
            Node::Inode(fd) => Node::Inode(node::reopen(fd.as_fd(), flags)?),
        };
        let fid = self.fids.get_mut(id)?;
        (fid.node, fid.open) = (opened, true);
        qid.write(out);
        out.put_u32(self.io_unit());
        Ok(())
    }

    /// What open(2) gets. Reading leaves no trace where nothing may be written.
    pub(super) fn open_flags(&self, flags: u32) -> nix::Result<OFlag> {
        let access = match flags & ACCESS {
            0 => OFlag::O_RDONLY,
            1 => OFlag::O_WRONLY,
            2 => OFlag::O_RDWR,
            _ => return Err(Errno::EINVAL),
        };
        let wanted = FLAGS.iter().filter(|(bits, _)| flags & bits == *bits).map(|(_, flag)| *flag);
        let found = wanted.fold(access, |found, flag| found | flag);
        if access != OFlag::O_RDONLY || found.contains(OFlag::O_TRUNC) {
            self.writable()?;
            return Ok(found);
        }
        Ok(if self.writable().is_err() { found | OFlag::O_NOATIME } else { found })
    }

    /// Most bytes of a read or a write.
    pub(super) fn io_unit(&self) -> u32 {
        (self.msize() - OVERHEAD) as u32
    }

    pub(super) fn read(
        &self,
        id: FidId,
        offset: u64,
        count: u32,
        out: &mut Vec<u8>,
    ) -> nix::Result<()> {
        let file = self.opened(id)?;
        let offset = offset.try_into().map_err(|_| Errno::EINVAL)?;
        let start = out.len() + 4;
        out.resize(start + count.min(self.io_unit()) as usize, 0);
        let read = retry(|| pread(file, &mut out[start..], offset))?;
        out.truncate(start + read);
        out[start - 4..start].copy_from_slice(&(read as u32).to_le_bytes());
        Ok(())
    }

    pub(super) fn write(
        &self,
        id: FidId,
        offset: u64,
        data: &[u8],
        out: &mut Vec<u8>,
    ) -> nix::Result<()> {
        self.writable()?;
        let file = self.opened(id)?;
        let offset = offset.try_into().map_err(|_| Errno::EINVAL)?;
        let written = retry(|| pwrite(file, data, offset))?;
        out.put_u32(written as u32);
        Ok(())
    }

    pub(super) fn fsync(&self, id: FidId) -> nix::Result<()> {
        retry(|| fsync(self.opened(id)?))
    }

    /// The guest's kernel has locked the file among its own processes before it
    /// asks here. Nobody else is asked.
    pub(super) fn lock(&self, id: FidId, out: &mut Vec<u8>) -> nix::Result<()> {
        self.opened(id)?;
        out.put_u8(LOCKED);
        Ok(())
    }

    pub(super) fn get_lock(&self, id: FidId, range: &[u8], out: &mut Vec<u8>) -> nix::Result<()> {
        self.opened(id)?;
        out.put_u8(UNLOCKED);
        out.put(range);
        Ok(())
    }
}

fn retry<T>(mut call: impl FnMut() -> nix::Result<T>) -> nix::Result<T> {
    loop {
        match call() {
            Err(Errno::EINTR) => {}
            result => return result,
        }
    }
}
