//! What each request does.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, OpenHow, openat2};
use nix::sys::stat::{SFlag, fstat};
use vxn_proto::SHARED_FILE as FILE;

use super::connection::MSIZE;
use super::fids::{Fid, Fids};
use super::message::{FidId, Request};
use super::node::{self, Node, Qid, component, look_up};
use super::wire::Write9p;

/// Names in one walk (`P9_MAXWELEM`).
const MAX_NAMES: usize = 16;

/// Smallest message that a client may ask for: room for any request but writes.
const MIN_MSIZE: usize = 8192;

/// The one version that is spoken.
const VERSION: &[u8] = b"9P2000.L";

/// An owner that is not said (`P9_NONUNAME`).
const NOBODY_SAID: u32 = u32::MAX;

/// What a share gives access to.
#[derive(Debug)]
pub struct Export {
    root: OwnedFd,
    directory: bool,
    read_only: bool,
    /// The root's device.
    device: u64,
}

impl Export {
    /// The directory or file at `path`, where it is now: whatever is renamed or
    /// mounted over it later does not change what is shared, as with a bind mount.
    ///
    /// # Errors
    /// The system's; what is neither file nor directory.
    pub fn open(path: &Path, read_only: bool) -> io::Result<Export> {
        let how = OpenHow::new().flags(OFlag::O_PATH | OFlag::O_CLOEXEC);
        let root = openat2(AT_FDCWD, path, how)?;
        let stat = fstat(&root)?;
        let directory = match node::kind(&stat) {
            SFlag::S_IFDIR => true,
            SFlag::S_IFREG => false,
            _ => return Err(io::Error::other("it is neither a file nor a directory")),
        };
        Ok(Export { root, directory, read_only, device: stat.st_dev })
    }

    /// Whether it is a directory.
    pub fn is_directory(&self) -> bool {
        self.directory
    }
}

/// The server of one share.
#[derive(Debug)]
pub struct Server {
    export: Export,
    pub(super) fids: Fids,
    msize: usize,
}

impl Server {
    pub fn new(export: Export, max_fids: usize) -> Server {
        Server { export, fids: Fids::new(max_fids), msize: MSIZE }
    }

    /// Most bytes of a message.
    pub fn msize(&self) -> usize {
        self.msize
    }

    /// The device whose inode numbers the guest sees as they are.
    pub(super) fn home(&self) -> u64 {
        self.export.device
    }

    /// Does what is asked and writes the body of the answer.
    ///
    /// # Errors
    /// What the guest is told; part of a body may have been written.
    pub fn serve(&mut self, request: Request<'_>, out: &mut Vec<u8>) -> nix::Result<()> {
        match request {
            Request::Version { msize, version } => self.version(msize, version, out),
            Request::Attach { fid, owner } => self.attach(fid, owner, out),
            // Requests are served one after the other: this one's turn is over.
            Request::Flush => Ok(()),
            Request::Walk { fid, newfid, names } => self.walk(fid, newfid, &names, out),
            Request::Clunk { fid } => self.fids.remove(fid),
            // Linux falls back to these two where the calls with two names are not
            // known. They would need the name of a fid, which anybody may change.
            Request::Remove { fid } => self.fids.remove(fid).and(Err(Errno::EOPNOTSUPP)),
            Request::Other => Err(Errno::EOPNOTSUPP),
            Request::Statfs { fid } => self.statfs(fid, out),
            Request::GetAttr { fid } => self.get_attr(fid, out),
            Request::SetAttr { fid, change } => self.set_attr(fid, &change),
            Request::ReadLink { fid } => self.read_link(fid, out),
            Request::Open { fid, flags } => self.open(fid, flags, out),
            Request::Read { fid, offset, count } => self.read(fid, offset, count, out),
            Request::Write { fid, offset, data } => self.write(fid, offset, data, out),
            Request::Fsync { fid } => self.fsync(fid),
            Request::Lock { fid } => self.lock(fid, out),
            Request::GetLock { fid, range } => self.get_lock(fid, range, out),
            Request::ReadDir { fid, offset, count } => self.read_dir(fid, offset, count, out),
            Request::Create { fid, flags, new } => self.create(fid, flags, new, out),
            Request::Symlink { dir, target, new } => self.symlink(dir, target, new, out),
            Request::MakeNode { dir, new } => self.make_node(dir, new, out),
            Request::MakeDir { dir, new } => self.make_dir(dir, new, out),
            Request::Link { dir, fid, name } => self.link(dir, fid, name),
            Request::RenameAt { from, old, to, new } => self.rename(from, old, to, new),
            Request::UnlinkAt { dir, name, flags } => self.unlink(dir, name, flags),
        }
    }

    /// Begins a conversation, also in the middle of one.
    fn version(&mut self, msize: u32, version: &[u8], out: &mut Vec<u8>) -> nix::Result<()> {
        self.fids.clear();
        let msize = msize as usize;
        if msize < MIN_MSIZE {
            return Err(Errno::EMSGSIZE);
        }
        self.msize = msize.min(MSIZE);
        out.put_u32(self.msize as u32);
        out.put_string(if version == VERSION { VERSION } else { b"unknown" });
        Ok(())
    }

    fn attach(&mut self, id: FidId, owner: u32, out: &mut Vec<u8>) -> nix::Result<()> {
        self.fids.check_free(id)?;
        let node = if self.export.directory {
            Node::Inode(node::duplicate(self.export.root.as_fd())?)
        } else {
            Node::Top
        };
        self.qid(&node)?.write(out);
        let owner = if owner == NOBODY_SAID { 0 } else { owner };
        self.fids.set(id, Fid { node, owner, open: false });
        Ok(())
    }

    /// From one inode to another by names. Stops at the first that is not there.
    fn walk(
        &mut self,
        id: FidId,
        new: FidId,
        names: &[&[u8]],
        out: &mut Vec<u8>,
    ) -> nix::Result<()> {
        if names.len() > MAX_NAMES {
            return Err(Errno::EINVAL);
        }
        if new != id {
            self.fids.check_free(new)?;
        }
        let from = self.fids.get(id)?;
        let (owner, mut node) = (from.owner, from.node.duplicate()?);
        let mut qids = Vec::new();
        for name in names {
            match self.step(&node, name).and_then(|next| Ok((self.qid(&next)?, next))) {
                Ok((qid, next)) => {
                    qids.push(qid);
                    node = next;
                }
                Err(e) if qids.is_empty() => return Err(e),
                Err(_) => break,
            }
        }
        out.put_u16(qids.len() as u16);
        qids.iter().for_each(|qid| qid.write(out));
        if qids.len() == names.len() {
            self.fids.set(new, Fid { node, owner, open: false });
        }
        Ok(())
    }

    fn step(&self, from: &Node, name: &[u8]) -> nix::Result<Node> {
        let name = component(name)?;
        let fd = match from {
            Node::Top if name == FILE => node::duplicate(self.export.root.as_fd())?,
            Node::Top => return Err(Errno::ENOENT),
            Node::Inode(dir) => look_up(dir.as_fd(), name)?,
        };
        Ok(Node::Inode(fd))
    }

    pub(super) fn qid(&self, node: &Node) -> nix::Result<Qid> {
        match node {
            Node::Top => Ok(Qid::TOP),
            Node::Inode(fd) => Ok(Qid::of(&fstat(fd)?, self.home())),
        }
    }

    /// The inode of the one file of a share that is no directory.
    pub(super) fn root(&self) -> BorrowedFd<'_> {
        self.export.root.as_fd()
    }

    /// Refuses what writes, where nothing may be written.
    pub(super) fn writable(&self) -> nix::Result<()> {
        if self.export.read_only { Err(Errno::EROFS) } else { Ok(()) }
    }

    /// The file of a fid that was opened.
    pub(super) fn opened(&self, id: FidId) -> nix::Result<&OwnedFd> {
        match self.fids.get(id)? {
            Fid { node: Node::Inode(fd), open: true, .. } => Ok(fd),
            _ => Err(Errno::EBADF),
        }
    }
}
