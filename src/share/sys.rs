//! getdents64(2), which the safe crates hide behind streams of their own.
#![expect(unsafe_code)]

use std::os::fd::{AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::libc;

/// An entry of a directory.
#[derive(Debug)]
pub struct Entry<'a> {
    /// Its inode number.
    pub ino: u64,
    /// Where the next one is.
    pub offset: u64,
    /// Its type, `DT_*`.
    pub kind: u8,
    /// Its name.
    pub name: &'a [u8],
}

/// Bytes of a `linux_dirent64` before its name.
const HEADER: usize = 8 + 8 + 2 + 1;

/// The next entries of a directory, as many as fit in `buffer`.
///
/// # Errors
/// The kernel's; EINVAL when not even one fits.
pub fn entries<'a>(
    dir: &OwnedFd,
    buffer: &'a mut [u8],
) -> nix::Result<impl Iterator<Item = Entry<'a>> + use<'a>> {
    // SAFETY: the kernel writes at most `buffer.len()` bytes to `buffer`, which is
    // ours alone.
    let filled = unsafe {
        libc::syscall(libc::SYS_getdents64, dir.as_raw_fd(), buffer.as_mut_ptr(), buffer.len())
    };
    let filled = Errno::result(filled)? as usize;
    let mut rest = &buffer[..filled];
    Ok(std::iter::from_fn(move || {
        let (entry, length) = parse(rest)?;
        rest = &rest[length..];
        Some(entry)
    }))
}

/// The first entry of `bytes`, and its length.
fn parse(bytes: &[u8]) -> Option<(Entry<'_>, usize)> {
    let (ino, rest) = bytes.split_first_chunk()?;
    let (offset, rest) = rest.split_first_chunk()?;
    let (length, rest) = rest.split_first_chunk()?;
    let length = usize::from(u16::from_ne_bytes(*length));
    let (ino, offset) = (u64::from_ne_bytes(*ino), u64::from_ne_bytes(*offset));
    let name = bytes.get(HEADER..length)?.split(|byte| *byte == 0).next()?;
    Some((Entry { ino, offset, kind: *rest.first()?, name }, length))
}
