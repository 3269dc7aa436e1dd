//! Requests, as Linux sends them (include/net/9p/9p.h; the fields are those of
//! diod's protocol.md).

use super::wire::{Error, Reader, TooShort};

/// Types of requests. An answer has the type of its request plus one.
pub mod kind {
    pub const LERROR: u8 = 6;
    pub const STATFS: u8 = 8;
    pub const LOPEN: u8 = 12;
    pub const LCREATE: u8 = 14;
    pub const SYMLINK: u8 = 16;
    pub const MKNOD: u8 = 18;
    pub const READLINK: u8 = 22;
    pub const GETATTR: u8 = 24;
    pub const SETATTR: u8 = 26;
    pub const READDIR: u8 = 40;
    pub const FSYNC: u8 = 50;
    pub const LOCK: u8 = 52;
    pub const GETLOCK: u8 = 54;
    pub const LINK: u8 = 70;
    pub const MKDIR: u8 = 72;
    pub const RENAMEAT: u8 = 74;
    pub const UNLINKAT: u8 = 76;
    pub const VERSION: u8 = 100;
    pub const ATTACH: u8 = 104;
    pub const FLUSH: u8 = 108;
    pub const WALK: u8 = 110;
    pub const READ: u8 = 116;
    pub const WRITE: u8 = 118;
    pub const CLUNK: u8 = 120;
    pub const REMOVE: u8 = 122;
}

/// A name of something by the guest's choice.
pub type FidId = u32;

/// What a guest asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request<'a> {
    Version { msize: u32, version: &'a [u8] },
    Attach { fid: FidId, owner: u32 },
    Flush,
    Walk { fid: FidId, newfid: FidId, names: Vec<&'a [u8]> },
    Statfs { fid: FidId },
    Open { fid: FidId, flags: u32 },
    Create { fid: FidId, flags: u32, new: New<'a> },
    Symlink { dir: FidId, target: &'a [u8], new: New<'a> },
    MakeNode { dir: FidId, new: New<'a> },
    MakeDir { dir: FidId, new: New<'a> },
    Link { dir: FidId, fid: FidId, name: &'a [u8] },
    RenameAt { from: FidId, old: &'a [u8], to: FidId, new: &'a [u8] },
    UnlinkAt { dir: FidId, name: &'a [u8], flags: u32 },
    ReadLink { fid: FidId },
    GetAttr { fid: FidId },
    SetAttr { fid: FidId, change: Change },
    ReadDir { fid: FidId, offset: u64, count: u32 },
    Fsync { fid: FidId },
    Lock { fid: FidId },
    GetLock { fid: FidId, range: &'a [u8] },
    Read { fid: FidId, offset: u64, count: u32 },
    Write { fid: FidId, offset: u64, data: &'a [u8] },
    Clunk { fid: FidId },
    Remove { fid: FidId },
    Other,
}

/// Something to be made in a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct New<'a> {
    /// Its name.
    pub name: &'a [u8],
    /// Its type and permissions; nothing for a link.
    pub mode: u32,
    /// Its group.
    pub gid: u32,
}

/// Attributes to be changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Change {
    /// Which of them, `P9_SETATTR_*`.
    pub valid: u32,
    /// Permissions.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Length in bytes.
    pub size: u64,
    /// Seconds and nanoseconds of the last access.
    pub atime: (u64, u64),
    /// Seconds and nanoseconds of the last change.
    pub mtime: (u64, u64),
}

/// Reads the body of a message of type `kind`. What comes after the last field is
/// of newer dialects, and ignored.
///
/// # Errors
/// [`Error::Short`].
pub fn decode(kind: u8, body: &[u8]) -> Result<Request<'_>, Error> {
    let mut body = Reader(body);
    parse(kind, &mut body).map_err(|TooShort| Error::Short { kind })
}

fn parse<'a>(kind: u8, body: &mut Reader<'a>) -> Result<Request<'a>, TooShort> {
    match kind {
        kind::VERSION => Ok(Request::Version { msize: body.u32()?, version: body.string()? }),
        kind::FLUSH => Ok(Request::Flush),
        kind::STATFS | kind::LOPEN | kind::READLINK | kind::GETATTR | kind::FSYNC => {
            about_fid(kind, body)
        }
        kind::ATTACH | kind::WALK | kind::CLUNK | kind::REMOVE => about_fids(kind, body),
        kind::LCREATE | kind::SYMLINK | kind::MKNOD | kind::MKDIR => about_new(kind, body),
        kind::LINK | kind::RENAMEAT | kind::UNLINKAT => about_names(kind, body),
        kind::SETATTR => Ok(Request::SetAttr { fid: body.u32()?, change: change(body)? }),
        kind::READDIR | kind::READ | kind::WRITE => about_content(kind, body),
        kind::LOCK => Ok(Request::Lock { fid: body.u32()? }),
        kind::GETLOCK => Ok(Request::GetLock { fid: body.u32()?, range: range(body)? }),
        _ => Ok(Request::Other),
    }
}

fn about_fid<'a>(kind: u8, body: &mut Reader<'a>) -> Result<Request<'a>, TooShort> {
    let fid = body.u32()?;
    Ok(match kind {
        kind::STATFS => Request::Statfs { fid },
        kind::LOPEN => Request::Open { fid, flags: body.u32()? },
        kind::READLINK => Request::ReadLink { fid },
        kind::FSYNC => Request::Fsync { fid },
        _ => Request::GetAttr { fid },
    })
}

fn about_fids<'a>(kind: u8, body: &mut Reader<'a>) -> Result<Request<'a>, TooShort> {
    let fid = body.u32()?;
    Ok(match kind {
        kind::ATTACH => {
            let (_afid, _user, _tree) = (body.u32()?, body.string()?, body.string()?);
            Request::Attach { fid, owner: body.u32()? }
        }
        kind::WALK => {
            let newfid = body.u32()?;
            let names = (0..body.u16()?).map(|_| body.string()).collect::<Result<_, _>>()?;
            Request::Walk { fid, newfid, names }
        }
        kind::REMOVE => Request::Remove { fid },
        _ => Request::Clunk { fid },
    })
}

fn about_new<'a>(kind: u8, body: &mut Reader<'a>) -> Result<Request<'a>, TooShort> {
    let dir = body.u32()?;
    let name = body.string()?;
    Ok(match kind {
        kind::LCREATE => {
            let (flags, mode, gid) = (body.u32()?, body.u32()?, body.u32()?);
            Request::Create { fid: dir, flags, new: New { name, mode, gid } }
        }
        kind::SYMLINK => {
            let (target, gid) = (body.string()?, body.u32()?);
            Request::Symlink { dir, target, new: New { name, mode: 0, gid } }
        }
        kind::MKNOD => {
            let (mode, _major, _minor, gid) = (body.u32()?, body.u32()?, body.u32()?, body.u32()?);
            Request::MakeNode { dir, new: New { name, mode, gid } }
        }
        _ => {
            let (mode, gid) = (body.u32()?, body.u32()?);
            Request::MakeDir { dir, new: New { name, mode, gid } }
        }
    })
}

fn about_names<'a>(kind: u8, body: &mut Reader<'a>) -> Result<Request<'a>, TooShort> {
    let dir = body.u32()?;
    Ok(match kind {
        kind::LINK => Request::Link { dir, fid: body.u32()?, name: body.string()? },
        kind::RENAMEAT => {
            let (old, to, new) = (body.string()?, body.u32()?, body.string()?);
            Request::RenameAt { from: dir, old, to, new }
        }
        _ => Request::UnlinkAt { dir, name: body.string()?, flags: body.u32()? },
    })
}

fn about_content<'a>(kind: u8, body: &mut Reader<'a>) -> Result<Request<'a>, TooShort> {
    let (fid, offset, count) = (body.u32()?, body.u64()?, body.u32()?);
    Ok(match kind {
        kind::READDIR => Request::ReadDir { fid, offset, count },
        kind::READ => Request::Read { fid, offset, count },
        _ => Request::Write { fid, offset, data: body.bytes(count as usize)? },
    })
}

fn change(body: &mut Reader<'_>) -> Result<Change, TooShort> {
    Ok(Change {
        valid: body.u32()?,
        mode: body.u32()?,
        uid: body.u32()?,
        gid: body.u32()?,
        size: body.u64()?,
        atime: (body.u64()?, body.u64()?),
        mtime: (body.u64()?, body.u64()?),
    })
}

/// Start, length, process and client of a lock, behind its type.
fn range<'a>(body: &mut Reader<'a>) -> Result<&'a [u8], TooShort> {
    body.u8()?;
    let rest = body.0;
    body.bytes(8 + 8 + 4)?;
    body.string()?;
    Ok(&rest[..rest.len() - body.0.len()])
}
