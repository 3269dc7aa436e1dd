//! Entries of a layer's tar, in short words.

use std::io::Write;

use anyhow::Result;
use tar::{Builder, EntryType, Header};

/// The tar that is written to.
pub type Tar<'a> = Builder<&'a mut dyn Write>;

/// Mode, uid and gid of an entry.
#[derive(Debug, Clone, Copy)]
pub struct Attributes {
    mode: u32,
    uid: u64,
    gid: u64,
}

/// An entry of root's with `mode`.
pub const fn root(mode: u32) -> Attributes {
    owned(mode, 0, 0)
}

/// An entry with `mode` that belongs to `uid` and `gid`.
pub const fn owned(mode: u32, uid: u64, gid: u64) -> Attributes {
    Attributes { mode, uid, gid }
}

/// Adds a directory.
pub fn dir(tar: &mut Tar<'_>, path: &str, attributes: Attributes) -> Result<()> {
    Ok(tar.append_data(&mut header(EntryType::Directory, attributes, 0), path, &[][..])?)
}

/// Adds a regular file.
pub fn file(tar: &mut Tar<'_>, path: &str, attributes: Attributes, bytes: &[u8]) -> Result<()> {
    let mut header = header(EntryType::Regular, attributes, bytes.len() as u64);
    Ok(tar.append_data(&mut header, path, bytes)?)
}

/// Adds a regular file with extended attributes, the way GNU tar stores them.
pub fn file_with_xattrs(
    tar: &mut Tar<'_>,
    path: &str,
    attributes: Attributes,
    bytes: &[u8],
    xattrs: &[(&str, &[u8])],
) -> Result<()> {
    let keys: Vec<String> = xattrs.iter().map(|(name, _)| format!("SCHILY.xattr.{name}")).collect();
    let values = xattrs.iter().map(|(_, value)| *value);
    tar.append_pax_extensions(keys.iter().map(String::as_str).zip(values))?;
    file(tar, path, attributes, bytes)
}

/// Adds a symbolic link to `target`.
pub fn symlink(tar: &mut Tar<'_>, path: &str, target: &str) -> Result<()> {
    Ok(tar.append_link(&mut header(EntryType::Symlink, root(0o777), 0), path, target)?)
}

/// Adds a hard link to `target`, an earlier entry.
pub fn hard_link(tar: &mut Tar<'_>, path: &str, target: &str) -> Result<()> {
    Ok(tar.append_link(&mut header(EntryType::Link, root(0o644), 0), path, target)?)
}

/// Adds a character device.
pub fn char_device(tar: &mut Tar<'_>, path: &str, major: u32, minor: u32) -> Result<()> {
    let mut header = header(EntryType::Char, root(0o666), 0);
    header.set_device_major(major)?;
    header.set_device_minor(minor)?;
    Ok(tar.append_data(&mut header, path, &[][..])?)
}

/// Adds a named pipe.
pub fn fifo(tar: &mut Tar<'_>, path: &str) -> Result<()> {
    Ok(tar.append_data(&mut header(EntryType::Fifo, root(0o644), 0), path, &[][..])?)
}

/// Adds the mark that removes `name` of the lower layers from `dir`.
pub fn whiteout(tar: &mut Tar<'_>, dir: &str, name: &str) -> Result<()> {
    file(tar, &format!("{dir}/.wh.{name}"), root(0o644), b"")
}

/// Adds the mark that removes everything of the lower layers from `dir`.
pub fn opaque(tar: &mut Tar<'_>, dir: &str) -> Result<()> {
    file(tar, &format!("{dir}/.wh..wh..opq"), root(0o644), b"")
}

fn header(kind: EntryType, attributes: Attributes, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(attributes.mode);
    header.set_uid(attributes.uid);
    header.set_gid(attributes.gid);
    header.set_mtime(MTIME);
    header.set_size(size);
    header
}

/// 2023-06-10, the day of Debian 12: the same recipe makes the same digests.
const MTIME: u64 = 1_686_355_200;
