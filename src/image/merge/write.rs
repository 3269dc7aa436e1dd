//! Writes the merged archive: ustar, with PAX headers where ustar is too small.
//! Owners are numbers only, for sqfstar would look names up on this host.

use std::io::{self, Write};

use tar::{EntryType, Header};

use super::header::Kind;
use super::pax;
use super::read::{Entry, Meta};

const BLOCK: u64 = 512;
const ZEROS: [u8; 2 * BLOCK as usize] = [0; 2 * BLOCK as usize];
/// What the name and link name fields of a header hold.
const FIELD: usize = 100;

/// The archive being written.
pub struct Writer<'a> {
    out: &'a mut dyn Write,
}

impl<'a> Writer<'a> {
    pub fn new(out: &'a mut dyn Write) -> Writer<'a> {
        Writer { out }
    }

    /// A directory; one without attributes is root's, 0755, of 1970.
    pub fn directory(&mut self, path: &[u8], meta: Option<&Meta>) -> io::Result<()> {
        let implied = Meta { mode: 0o755, uid: 0, gid: 0, mtime: 0, xattrs: Vec::new() };
        let meta = meta.unwrap_or(&implied);
        self.write(header(EntryType::Directory, meta), path, &[], &meta.xattrs)
    }

    /// An entry under the name `path`. Its data and [`Writer::pad`] follow.
    pub fn entry(&mut self, path: &[u8], entry: &Entry) -> io::Result<()> {
        let (kind, link, device) = match &entry.kind {
            Kind::File => (EntryType::Regular, &[][..], None),
            Kind::Directory => (EntryType::Directory, &[][..], None),
            Kind::Fifo => (EntryType::Fifo, &[][..], None),
            Kind::Symlink(target) => (EntryType::Symlink, &target[..], None),
            Kind::HardLink(target) => (EntryType::Link, &target[..], None),
            Kind::Character(major, minor) => (EntryType::Char, &[][..], Some((*major, *minor))),
            Kind::Block(major, minor) => (EntryType::Block, &[][..], Some((*major, *minor))),
        };
        let mut header = header(kind, &entry.meta);
        header.set_size(entry.size);
        if let Some((major, minor)) = device {
            header.set_device_major(major)?;
            header.set_device_minor(minor)?;
        }
        self.write(header, path, link, &entry.meta.xattrs)
    }

    /// Another name for `target`, which has been written.
    pub fn hard_link(&mut self, path: &[u8], target: &[u8]) -> io::Result<()> {
        let meta = Meta { mode: 0, uid: 0, gid: 0, mtime: 0, xattrs: Vec::new() };
        self.write(header(EntryType::Link, &meta), path, target, &[])
    }

    /// A piece of the entry's data.
    pub fn data(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.out.write_all(bytes)
    }

    /// Fills up the last block of an entry of `size` bytes.
    pub fn pad(&mut self, size: u64) -> io::Result<()> {
        let padding = size.next_multiple_of(BLOCK) - size;
        self.out.write_all(&ZEROS[..padding as usize])
    }

    /// Ends the archive.
    pub fn finish(self) -> io::Result<()> {
        self.out.write_all(&ZEROS)?;
        self.out.flush()
    }

    fn write(
        &mut self,
        mut header: Header,
        path: &[u8],
        link: &[u8],
        xattrs: &[(Vec<u8>, Vec<u8>)],
    ) -> io::Result<()> {
        let mut extension = Vec::new();
        if path.len() > FIELD {
            pax::push(&mut extension, b"path", path);
        }
        if link.len() > FIELD {
            pax::push(&mut extension, b"linkpath", link);
        }
        for (name, value) in xattrs {
            pax::push(&mut extension, &[b"SCHILY.xattr.", &name[..]].concat(), value);
        }
        if !extension.is_empty() {
            self.extension(&extension)?;
        }
        put(&mut header.as_old_mut().name, path);
        put(&mut header.as_old_mut().linkname, link);
        header.set_cksum();
        self.out.write_all(header.as_bytes())
    }

    fn extension(&mut self, records: &[u8]) -> io::Result<()> {
        let mut header = Header::new_ustar();
        header.set_entry_type(EntryType::XHeader);
        header.set_size(records.len() as u64);
        put(&mut header.as_old_mut().name, b"pax");
        header.set_cksum();
        self.out.write_all(header.as_bytes())?;
        self.out.write_all(records)?;
        self.pad(records.len() as u64)
    }
}

fn header(kind: EntryType, meta: &Meta) -> Header {
    let mut header = Header::new_ustar();
    header.set_entry_type(kind);
    header.set_mode(meta.mode);
    header.set_uid(meta.uid.into());
    header.set_gid(meta.gid.into());
    header.set_mtime(meta.mtime.into());
    header.set_size(0);
    header
}

/// As much as fits; the rest stands in the extended header.
fn put(field: &mut [u8; FIELD], bytes: &[u8]) {
    let n = bytes.len().min(FIELD);
    field[..n].copy_from_slice(&bytes[..n]);
}
