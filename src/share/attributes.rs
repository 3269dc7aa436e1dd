//! What is known of an inode.

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, readlinkat};
use nix::sys::stat::{FileStat, SFlag, UtimensatFlags, fstat, utimensat};
use nix::sys::statfs::fstatfs;
use nix::sys::time::TimeSpec;
use nix::unistd::ftruncate;

use super::message::{Change, FidId};
use super::node::{self, Node, Qid, magic_link};
use super::server::Server;
use super::wire::Write9p;

/// Everything up to the number of blocks (`P9_STATS_BASIC`).
const BASIC: u64 = 0x7ff;

/// Bytes that programs read and write at once, as long as they let themselves be
/// told: each read and each write is a message.
const BLOCK: u64 = 64 * 1024;

/// Bits of [`Change::valid`] (`P9_SETATTR_*`).
mod valid {
    pub const MODE: u32 = 1;
    pub const UID: u32 = 1 << 1;
    pub const GID: u32 = 1 << 2;
    pub const SIZE: u32 = 1 << 3;
    pub const ATIME: u32 = 1 << 4;
    pub const MTIME: u32 = 1 << 5;
    pub const ATIME_SET: u32 = 1 << 7;
    pub const MTIME_SET: u32 = 1 << 8;
}

impl Server {
    pub(super) fn get_attr(&self, id: FidId, out: &mut Vec<u8>) -> nix::Result<()> {
        let (stat, qid) = match &self.fids.get(id)?.node {
            // As the file is, with the type and the permissions of a directory.
            Node::Top => {
                let mut stat = fstat(self.root())?;
                (stat.st_mode, stat.st_nlink) = (SFlag::S_IFDIR.bits() | 0o555, 2);
                (stat, Qid::TOP)
            }
            Node::Inode(fd) => {
                let stat = fstat(fd)?;
                (stat, Qid::of(&stat, self.home()))
            }
        };
        out.put_u64(BASIC);
        qid.write(out);
        put_attributes(&stat, out);
        Ok(())
    }

    /// Owner and group come before the permissions, which they take away in part.
    pub(super) fn set_attr(&self, id: FidId, change: &Change) -> nix::Result<()> {
        self.writable()?;
        let fd = self.fids.get(id)?.node.fd()?;
        let has = |bit| change.valid & bit != 0;
        if has(valid::UID | valid::GID) {
            let (owner, group) = (has(valid::UID), has(valid::GID));
            node::give(fd, owner.then_some(change.uid), group.then_some(change.gid))?;
        }
        if has(valid::MODE) {
            node::permit(fd, change.mode)?;
        }
        if has(valid::SIZE) {
            let size = change.size.try_into().map_err(|_| Errno::EFBIG)?;
            if node::kind(&fstat(fd)?) != SFlag::S_IFREG {
                return Err(Errno::EINVAL);
            }
            ftruncate(node::reopen(fd, OFlag::O_WRONLY)?, size)?;
        }
        if has(valid::ATIME | valid::MTIME) {
            let atime = time(has(valid::ATIME), has(valid::ATIME_SET), change.atime)?;
            let mtime = time(has(valid::MTIME), has(valid::MTIME_SET), change.mtime)?;
            let (path, flag) = (magic_link(fd), UtimensatFlags::FollowSymlink);
            utimensat(AT_FDCWD, path.as_str(), &atime, &mtime, flag)?;
        }
        Ok(())
    }

    pub(super) fn read_link(&self, id: FidId, out: &mut Vec<u8>) -> nix::Result<()> {
        let target = readlinkat(self.fids.get(id)?.node.fd()?, "")?;
        out.put_string(target.as_encoded_bytes());
        Ok(())
    }

    pub(super) fn statfs(&self, id: FidId, out: &mut Vec<u8>) -> nix::Result<()> {
        let fs = match &self.fids.get(id)?.node {
            Node::Top => fstatfs(self.root())?,
            Node::Inode(fd) => fstatfs(fd)?,
        };
        out.put_u32(fs.filesystem_type().0 as u32);
        out.put_u32(u32::try_from(fs.block_size()).unwrap_or(4096));
        out.put_u64(fs.blocks());
        out.put_u64(fs.blocks_free());
        out.put_u64(fs.blocks_available());
        out.put_u64(fs.files());
        out.put_u64(fs.files_free());
        out.put_u64(self.home());
        out.put_u32(u32::try_from(fs.maximum_name_length()).unwrap_or(255));
        Ok(())
    }
}

/// The time to set: this one, now, or none.
fn time(wanted: bool, set: bool, (seconds, nanos): (u64, u64)) -> nix::Result<TimeSpec> {
    if !wanted {
        return Ok(TimeSpec::UTIME_OMIT);
    }
    if !set {
        return Ok(TimeSpec::UTIME_NOW);
    }
    // Seconds before 1970 come as what they are in two's complement.
    let nanos = i64::try_from(nanos).ok().filter(|nanos| *nanos < 1_000_000_000);
    Ok(TimeSpec::new(seconds as i64, nanos.ok_or(Errno::EINVAL)?))
}

fn put_attributes(stat: &FileStat, out: &mut Vec<u8>) {
    out.put_u32(stat.st_mode);
    out.put_u32(stat.st_uid);
    out.put_u32(stat.st_gid);
    #[allow(clippy::useless_conversion, reason = "its size differs from machine to machine")]
    out.put_u64(stat.st_nlink.into());
    out.put_u64(stat.st_rdev);
    out.put_u64(stat.st_size as u64);
    out.put_u64(BLOCK.max(stat.st_blksize as u64));
    out.put_u64(stat.st_blocks as u64);
    for (seconds, nanos) in [
        (stat.st_atime, stat.st_atime_nsec),
        (stat.st_mtime, stat.st_mtime_nsec),
        (stat.st_ctime, stat.st_ctime_nsec),
        // When it was made, which is not asked for.
        (0, 0),
    ] {
        out.put_u64(seconds as u64);
        out.put_u64(nanos as u64);
    }
    // Generation and version of the data.
    out.put_u64(0);
    out.put_u64(0);
}
