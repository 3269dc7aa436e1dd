//! The entries of a tar archive that may be hostile: nothing is kept that has no
//! bound, and what cannot be understood is refused.

use std::io::Read;

use tar::{Entries, Entry, EntryType, Header, PaxExtensions};

use crate::attributes::Attributes;
use crate::error::{Result, entry as refuse};

/// Most bytes of a long name and of a list of extended attributes.
const MAX_EXTENSION: u64 = 1 << 20;

/// The longest path that Linux takes (`PATH_MAX`).
const MAX_PATH: usize = 4096;

/// An entry, without its contents.
#[derive(Debug)]
pub struct Member {
    pub name: Vec<u8>,
    pub kind: EntryType,
    /// Where a link leads.
    pub target: Vec<u8>,
    pub attributes: Attributes,
    pub device: (u32, u32),
    pub size: u64,
}

/// What stands before an entry and is about it.
#[derive(Default)]
struct Extension {
    name: Option<Vec<u8>>,
    target: Option<Vec<u8>>,
    uid: Option<u32>,
    gid: Option<u32>,
    mtime: Option<i64>,
    size: Option<u64>,
    xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

/// The next entry with its contents; `entries` must be raw ones.
pub fn next<'a, R: Read>(entries: &mut Entries<'a, R>) -> Result<Option<(Member, Entry<'a, R>)>> {
    let mut extension = Extension::default();
    for entry in entries {
        let mut entry = entry?;
        let kind = entry.header().entry_type();
        if kind.is_gnu_longname() {
            extension.name = Some(string(&mut entry)?);
        } else if kind.is_gnu_longlink() {
            extension.target = Some(string(&mut entry)?);
        } else if kind.is_pax_local_extensions() {
            extension.read(&contents(&mut entry)?)?;
        } else if !kind.is_pax_global_extensions() {
            let member = extension.complete(entry.header())?;
            return Ok(Some((member, entry)));
        }
    }
    Ok(None)
}

fn contents(entry: &mut Entry<'_, impl Read>) -> Result<Vec<u8>> {
    let size = entry.size();
    if size > MAX_EXTENSION {
        return Err(refuse(&entry.path_bytes(), "its name or its attributes are too long"));
    }
    let mut bytes = Vec::new();
    entry.take(size).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// A string that may end with NUL.
fn string(entry: &mut Entry<'_, impl Read>) -> Result<Vec<u8>> {
    let mut bytes = contents(entry)?;
    bytes.truncate(bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len()));
    Ok(bytes)
}

impl Extension {
    fn read(&mut self, records: &[u8]) -> Result<()> {
        for record in PaxExtensions::new(records) {
            let record = record?;
            let value = record.value_bytes();
            match record.key_bytes() {
                b"path" => self.name = Some(value.to_vec()),
                b"linkpath" => self.target = Some(value.to_vec()),
                b"uid" => self.uid = number(value),
                b"gid" => self.gid = number(value),
                b"size" => self.size = number(value),
                b"mtime" => {
                    self.mtime = number(value.split(|byte| *byte == b'.').next().unwrap_or(b""));
                }
                key => {
                    if let Some(name) = key.strip_prefix(b"SCHILY.xattr.") {
                        self.xattrs.push((name.to_vec(), value.to_vec()));
                    }
                }
            }
        }
        Ok(())
    }

    fn complete(self, header: &Header) -> Result<Member> {
        let own = header.path_bytes().into_owned();
        let name = self.name.unwrap_or(own);
        let target = header.link_name_bytes().map(|target| target.into_owned());
        let target = self.target.or(target).unwrap_or_default();
        if name.len() > MAX_PATH || target.len() > MAX_PATH {
            return Err(refuse(&name[..MAX_PATH.min(name.len())], "its path is too long"));
        }
        let size = header.entry_size().map_err(|_| refuse(&name, "it has no size"))?;
        if self.size.is_some_and(|said| said != size) {
            return Err(refuse(&name, "it has two sizes"));
        }
        let bad = |_| refuse(&name, "a number of its header is none");
        let id = |own: std::io::Result<u64>, said: Option<u32>| match said {
            Some(said) => Ok(said),
            None => u32::try_from(own.map_err(bad)?)
                .map_err(|_| refuse(&name, "its owner has no number that Linux takes")),
        };
        let attributes = Attributes {
            mode: header.mode().map_err(bad)? & 0o7777,
            uid: id(header.uid(), self.uid)?,
            gid: id(header.gid(), self.gid)?,
            mtime: match self.mtime {
                Some(mtime) => mtime,
                None => i64::try_from(header.mtime().map_err(bad)?).unwrap_or(i64::MAX),
            },
            xattrs: self.xattrs,
        };
        let device = |number: std::io::Result<Option<u32>>| number.ok().flatten().unwrap_or(0);
        let device = (device(header.device_major()), device(header.device_minor()));
        Ok(Member { kind: header.entry_type(), target, attributes, device, size, name })
    }
}

fn number<T: std::str::FromStr>(digits: &[u8]) -> Option<T> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}
