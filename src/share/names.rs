//! Names that come, change and go.

use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat2, renameat};
use nix::sys::stat::{Mode, SFlag, fstat, mkdirat, mknodat};
use nix::unistd::{UnlinkatFlags, linkat, symlinkat, unlinkat};

use super::message::{FidId, New};
use super::node::{self, Node, Qid, component, look_up};
use super::server::Server;
use super::wire::Write9p;

/// `P9_DOTL_EXCL` and `P9_DOTL_AT_REMOVEDIR`.
const EXCLUSIVE: u32 = 0o200;
const REMOVE_DIRECTORY: u32 = 0x200;

impl Server {
    /// Makes a file and opens it; the fid of its directory is the file from then on.
    pub(super) fn create(
        &mut self,
        id: FidId,
        flags: u32,
        new: New<'_>,
        out: &mut Vec<u8>,
    ) -> nix::Result<()> {
        let (dir, name, owner) = self.place(id, new.name)?;
        let open = self.open_flags(flags)?;
        let how = node::beneath(open | OFlag::O_CREAT | OFlag::O_EXCL).mode(Mode::empty());
        let file = match openat2(dir, name, how) {
            Ok(file) => {
                node::give(file.as_fd(), Some(owner), Some(new.gid))?;
                node::permit(file.as_fd(), new.mode)?;
                file
            }
            // Somebody else was quicker, and it may be anything.
            Err(Errno::EEXIST) if flags & EXCLUSIVE == 0 => {
                node::reopen(look_up(dir, name)?.as_fd(), open)?
            }
            Err(e) => return Err(e),
        };
        Qid::of(&fstat(&file)?, self.home()).write(out);
        out.put_u32(self.io_unit());
        let fid = self.fids.get_mut(id)?;
        (fid.node, fid.open) = (Node::Inode(file), true);
        Ok(())
    }

    pub(super) fn make_dir(&self, id: FidId, new: New<'_>, out: &mut Vec<u8>) -> nix::Result<()> {
        let (dir, name, owner) = self.place(id, new.name)?;
        mkdirat(dir, name, Mode::S_IRWXU)?;
        let made = openat2(dir, name, node::beneath(OFlag::O_PATH | OFlag::O_DIRECTORY))?;
        self.made(&made, owner, new, out)
    }

    /// A file, a FIFO or a socket, which only mean something in the guest.
    pub(super) fn make_node(&self, id: FidId, new: New<'_>, out: &mut Vec<u8>) -> nix::Result<()> {
        let (dir, name, owner) = self.place(id, new.name)?;
        let kind = SFlag::from_bits_truncate(new.mode) & SFlag::S_IFMT;
        if ![SFlag::S_IFREG, SFlag::S_IFIFO, SFlag::S_IFSOCK].contains(&kind) {
            return Err(Errno::EPERM);
        }
        mknodat(dir, name, kind, Mode::empty(), 0)?;
        self.made(&look_up(dir, name)?, owner, new, out)
    }

    pub(super) fn symlink(
        &self,
        id: FidId,
        target: &[u8],
        new: New<'_>,
        out: &mut Vec<u8>,
    ) -> nix::Result<()> {
        let (dir, name, owner) = self.place(id, new.name)?;
        symlinkat(OsStr::from_bytes(target), dir, name)?;
        let made = look_up(dir, name)?;
        node::give(made.as_fd(), Some(owner), Some(new.gid))?;
        Qid::of(&fstat(&made)?, self.home()).write(out);
        Ok(())
    }

    pub(super) fn link(&self, id: FidId, target: FidId, name: &[u8]) -> nix::Result<()> {
        let (dir, name, _) = self.place(id, name)?;
        let target = self.fids.get(target)?.node.fd()?;
        linkat(target, "", dir, name, AtFlags::AT_EMPTY_PATH)
    }

    pub(super) fn rename(&self, from: FidId, old: &[u8], to: FidId, new: &[u8]) -> nix::Result<()> {
        let (from, old, _) = self.place(from, old)?;
        let (to, new, _) = self.place(to, new)?;
        renameat(from, old, to, new)
    }

    pub(super) fn unlink(&self, id: FidId, name: &[u8], flags: u32) -> nix::Result<()> {
        let (dir, name, _) = self.place(id, name)?;
        let directory = flags & REMOVE_DIRECTORY != 0;
        let flag = if directory { UnlinkatFlags::RemoveDir } else { UnlinkatFlags::NoRemoveDir };
        unlinkat(dir, name, flag)
    }

    /// A directory that may be written, a name in it, and whose what is new is.
    fn place<'a>(
        &'a self,
        id: FidId,
        name: &'a [u8],
    ) -> nix::Result<(BorrowedFd<'a>, &'a OsStr, u32)> {
        self.writable()?;
        let fid = self.fids.get(id)?;
        Ok((fid.node.fd()?, component(name)?, fid.owner))
    }

    /// Gives something new to whom it belongs.
    fn made(&self, made: &OwnedFd, owner: u32, new: New<'_>, out: &mut Vec<u8>) -> nix::Result<()> {
        node::give(made.as_fd(), Some(owner), Some(new.gid))?;
        node::permit(made.as_fd(), new.mode)?;
        Qid::of(&fstat(made)?, self.home()).write(out);
        Ok(())
    }
}
