//! Inodes of a share, held by file descriptors.

use std::ffi::OsStr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, OpenHow, ResolveFlag, open, openat2};
use nix::sys::stat::{FileStat, Mode, SFlag, fchmodat, fstat};
use nix::sys::statfs::{PROC_SUPER_MAGIC, fstatfs};
use nix::unistd::{Gid, Uid, fchownat};

use super::wire::Write9p;

/// What a fid stands for.
#[derive(Debug)]
pub enum Node {
    /// The root of the share of one file: a directory that holds nothing else.
    Top,
    /// An inode, by a descriptor of it: `O_PATH` until it is opened.
    Inode(OwnedFd),
}

impl Node {
    /// The descriptor.
    ///
    /// # Errors
    /// EPERM for what is no inode.
    pub fn fd(&self) -> nix::Result<BorrowedFd<'_>> {
        match self {
            Node::Top => Err(Errno::EPERM),
            Node::Inode(fd) => Ok(fd.as_fd()),
        }
    }

    /// The same once more, not open.
    pub fn duplicate(&self) -> nix::Result<Node> {
        match self {
            Node::Top => Ok(Node::Top),
            Node::Inode(fd) => duplicate(fd.as_fd()).map(Node::Inode),
        }
    }
}

/// Another descriptor of the same inode, with nothing but its identity.
pub fn duplicate(fd: BorrowedFd<'_>) -> nix::Result<OwnedFd> {
    let how = OpenHow::new().flags(OFlag::O_PATH | OFlag::O_CLOEXEC);
    openat2(AT_FDCWD, magic_link(fd).as_str(), how)
}

/// A name as a directory has it: one component, and not one that leads elsewhere.
pub fn component(name: &[u8]) -> nix::Result<&OsStr> {
    let bad = matches!(name, b"" | b"." | b"..") || name.iter().any(|b| matches!(b, b'/' | 0));
    if bad { Err(Errno::EINVAL) } else { Ok(OsStr::from_bytes(name)) }
}

/// The inode of that name in a directory, itself when it is a symbolic link.
pub fn look_up(dir: BorrowedFd<'_>, name: &OsStr) -> nix::Result<OwnedFd> {
    openat2(dir, name, beneath(OFlag::O_PATH | OFlag::O_NOFOLLOW))
}

/// How names are opened: in their directory, and through no link.
pub fn beneath(flags: OFlag) -> OpenHow {
    OpenHow::new().flags(flags | OFlag::O_CLOEXEC).resolve(
        ResolveFlag::RESOLVE_BENEATH
            | ResolveFlag::RESOLVE_NO_SYMLINKS
            | ResolveFlag::RESOLVE_NO_MAGICLINKS,
    )
}

/// Opens an inode for reading or writing.
///
/// # Errors
/// EPERM for what is neither a file nor a directory, EACCES for a file of procfs.
pub fn reopen(fd: BorrowedFd<'_>, flags: OFlag) -> nix::Result<OwnedFd> {
    // The kind of an inode never changes, and the descriptor holds this one.
    let directory = match kind(&fstat(fd)?) {
        SFlag::S_IFREG => OFlag::empty(),
        SFlag::S_IFDIR => OFlag::O_DIRECTORY,
        _ => return Err(Errno::EPERM),
    };
    if directory.is_empty() && fstatfs(fd)?.filesystem_type() == PROC_SUPER_MAGIC {
        return Err(Errno::EACCES);
    }
    let flags = flags | directory | OFlag::O_CLOEXEC | OFlag::O_NOCTTY;
    open(magic_link(fd).as_str(), flags, Mode::empty())
}

/// A path of the very inode, for system calls that take no `O_PATH` descriptor.
pub fn magic_link(fd: BorrowedFd<'_>) -> String {
    format!("/proc/self/fd/{}", fd.as_raw_fd())
}

/// The type of an inode.
pub fn kind(stat: &FileStat) -> SFlag {
    SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT
}

/// Sets owner and group; `None` leaves them.
pub fn give(fd: BorrowedFd<'_>, owner: Option<u32>, group: Option<u32>) -> nix::Result<()> {
    let (owner, group) = (owner.map(Uid::from_raw), group.map(Gid::from_raw));
    fchownat(fd, "", owner, group, nix::fcntl::AtFlags::AT_EMPTY_PATH)
}

/// Sets the permissions, which a change of owner takes away in part.
pub fn permit(fd: BorrowedFd<'_>, mode: u32) -> nix::Result<()> {
    let mode = Mode::from_bits_truncate(mode);
    let flag = nix::sys::stat::FchmodatFlags::FollowSymlink;
    fchmodat(AT_FDCWD, magic_link(fd).as_str(), mode, flag)
}

/// Identity of an inode, as the protocol has it: the guest's inode numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Qid {
    kind: u8,
    path: u64,
}

/// `P9_QTDIR` and `P9_QTSYMLINK`.
const DIRECTORY: u8 = 0x80;
const SYMLINK: u8 = 0x02;

impl Qid {
    /// Of the root of a share of one file.
    pub const TOP: Qid = Qid { kind: DIRECTORY, path: u64::MAX };

    /// Of an inode. `home` is the device that keeps its inode numbers as they are;
    /// those of others, which are mounted below, are made different.
    pub fn new(kind: SFlag, dev: u64, ino: u64, home: u64) -> Qid {
        let kind = match kind {
            SFlag::S_IFDIR => DIRECTORY,
            SFlag::S_IFLNK => SYMLINK,
            _ => 0,
        };
        let spread = (dev ^ home).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Qid { kind, path: ino ^ spread }
    }

    /// Of what `stat` is about.
    pub fn of(stat: &FileStat, home: u64) -> Qid {
        Qid::new(kind(stat), stat.st_dev, stat.st_ino, home)
    }

    /// Type, version, path. Nothing is cached by version.
    pub fn write(self, out: &mut Vec<u8>) {
        out.put_u8(self.kind);
        out.put_u32(0);
        out.put_u64(self.path);
    }
}
