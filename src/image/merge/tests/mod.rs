//! The merger held to hostile archives, to a model of what layers mean, and to
//! itself.

mod hostile;
mod model;
mod semantics;

use std::collections::BTreeMap;
use std::slice::from_ref;

use tar::{Builder, EntryType, Header};

use super::{Error, Limits, Refusal, merge, pax};

/// Makes archives entry by entry, also ones that no honest tool makes.
pub struct Archive(Vec<u8>);

impl Archive {
    pub fn new() -> Archive {
        Archive(Vec::new())
    }

    pub fn header(kind: u8, name: &[u8], size: u64) -> Header {
        let mut header = Header::new_ustar();
        header.set_entry_type(EntryType::new(kind));
        header.as_old_mut().name[..name.len()].copy_from_slice(name);
        header.set_size(size);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(1_000);
        header
    }

    /// A header with its checksum set, and data.
    pub fn raw(mut self, mut header: Header, data: &[u8]) -> Archive {
        header.set_cksum();
        self.0.extend_from_slice(header.as_bytes());
        self.0.extend_from_slice(data);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    pub fn entry(self, kind: u8, name: &str, link: &str, data: &[u8]) -> Archive {
        let mut header = Archive::header(kind, name.as_bytes(), data.len() as u64);
        header.as_old_mut().linkname[..link.len()].copy_from_slice(link.as_bytes());
        self.raw(header, data)
    }

    pub fn file(self, name: &str, data: &str) -> Archive {
        self.entry(b'0', name, "", data.as_bytes())
    }

    pub fn dir(self, name: &str) -> Archive {
        self.entry(b'5', name, "", b"")
    }

    pub fn symlink(self, name: &str, target: &str) -> Archive {
        self.entry(b'2', name, target, b"")
    }

    pub fn hard_link(self, name: &str, target: &str) -> Archive {
        self.entry(b'1', name, target, b"")
    }

    /// An extended header for the entry that follows.
    pub fn pax(self, records: &[(&str, &[u8])]) -> Archive {
        let mut data = Vec::new();
        for (key, value) in records {
            pax::push(&mut data, key.as_bytes(), value);
        }
        let header = Archive::header(b'x', b"pax", data.len() as u64);
        self.raw(header, &data)
    }

    pub fn end(mut self) -> Vec<u8> {
        self.0.resize(self.0.len() + 1024, 0);
        self.0
    }

    /// Without the end mark.
    pub fn cut(self) -> Vec<u8> {
        self.0
    }
}

/// What another reader, the `tar` crate's, finds under a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    pub kind: EntryType,
    pub mode: u32,
    /// Data of a file, target of a symbolic link, primary name of a hard link.
    pub content: Vec<u8>,
}

pub fn merged(layers: &[Vec<u8>]) -> Result<Vec<u8>, Error> {
    let mut out = Vec::new();
    merge(layers, &Limits::default(), &mut out, &mut |_| {})?;
    Ok(out)
}

/// Reads an archive by name; no name may come twice and no directory late.
pub fn contents(archive: &[u8]) -> BTreeMap<Vec<u8>, Found> {
    use std::io::Read;
    let mut found = BTreeMap::new();
    for entry in tar::Archive::new(archive).entries().unwrap() {
        let mut entry = entry.unwrap();
        let mut content = entry.link_name_bytes().unwrap_or_default().into_owned();
        entry.read_to_end(&mut content).unwrap();
        let (kind, mode) = (entry.header().entry_type(), entry.header().mode().unwrap());
        let path = entry.path_bytes().into_owned();
        if let Some(slash) = path.iter().rposition(|&b| b == b'/') {
            assert!(found.contains_key(&path[..slash]), "{path:?} before its directory");
        }
        assert_eq!(found.insert(path, Found { kind, mode, content }), None, "twice");
    }
    found
}

/// Merges and lists: `name/`, `name=data`, `name->target`, `name==primary`.
pub fn list(layers: &[Vec<u8>]) -> Vec<String> {
    let archive = merged(layers).unwrap();
    assert_eq!(merged(from_ref(&archive)).unwrap(), archive, "merging again changes nothing");
    contents(&archive)
        .into_iter()
        .map(|(name, found)| {
            let mark = match found.kind {
                EntryType::Directory => "/",
                EntryType::Symlink => "->",
                EntryType::Link => "==",
                EntryType::Regular => "=",
                _ => "?",
            };
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            format!("{}{mark}{}", text(&name), text(&found.content))
        })
        .collect()
}

/// The refusal, and the entry it blames.
pub fn refusal(layers: &[Vec<u8>]) -> (Refusal, Option<String>) {
    match merged(layers) {
        Err(Error::Layer { layer, entry, why }) => {
            assert_eq!(layer, layers.len() - 1, "the last layer is to blame");
            (why, entry.map(|name| String::from_utf8_lossy(&name).into_owned()))
        }
        other => panic!("not refused: {other:?}"),
    }
}

#[test]
fn the_helpers_make_what_the_tar_crate_makes() {
    let mut builder = Builder::new(Vec::new());
    builder.append(&Archive::new().file("a", "").header_of(), &b""[..]).unwrap();
    assert_eq!(
        contents(&builder.into_inner().unwrap()),
        contents(&Archive::new().file("a", "").end())
    );
}

impl Archive {
    fn header_of(&self) -> Header {
        Header::from_byte_slice(&self.0[..512]).clone()
    }
}
