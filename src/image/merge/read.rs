//! Reads tar archives of strangers: ustar, GNU long names, PAX. Own code,
//! because what the `tar` crate reads of a long name is unbounded and its PAX
//! values end at the first newline.

use std::io::{self, Read};

use tar::Header;

use super::header::{
    BLOCK, Kind, checksum_matches, in_range, kind, number_in, owner_or_mode, size,
};
use super::{Refusal, pax};

/// The largest long name or extended header, in bytes.
const MAX_EXTENSION: u64 = 1 << 20;
/// Linux's `XATTR_SIZE_MAX`.
const MAX_ATTRIBUTE: usize = 1 << 16;
const CHUNK: usize = 1 << 16;

/// One entry, its extended headers applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Counts the entries of the archive from 0.
    pub number: u32,
    /// The name as the archive spells it.
    pub path: Vec<u8>,
    /// What it is.
    pub kind: Kind,
    /// Bytes of data that follow; 0 for all but files.
    pub size: u64,
    /// Mode, owner, time, attributes.
    pub meta: Meta,
}

/// What every inode has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meta {
    /// Permissions, set-id and sticky bits.
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    /// Seconds since 1970, as far as squashfs can hold them.
    pub mtime: u32,
    /// Extended attributes in the order of the archive.
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

/// Attributes that squashfs can hold. `trusted.overlay.` is not kept: it is the
/// private language of the guest's overlayfs.
fn keeps(name: &[u8]) -> bool {
    [&b"user."[..], b"trusted.", b"security."].iter().any(|prefix| name.starts_with(prefix))
        && !name.starts_with(b"trusted.overlay.")
        && name.len() <= 255
        && !name.contains(&0)
}

/// A refusal and the name of the entry to blame, if there is one.
pub type Blame = (Option<Vec<u8>>, Refusal);

/// An archive being read.
pub struct Archive<R> {
    input: R,
    /// Bytes that the whole image has given so far, and those it may give.
    read: u64,
    limit: u64,
    /// What the current entry still has: data, then padding.
    data: u64,
    padding: u64,
    number: u32,
    /// The current entry's name.
    current: Option<Vec<u8>>,
    buffer: Box<[u8]>,
}

impl<R: Read> Archive<R> {
    /// Reads `input`, after other layers have given `read` bytes, until the
    /// sum exceeds `limit`.
    pub fn new(input: R, read: u64, limit: u64) -> Archive<R> {
        let buffer = vec![0; CHUNK].into_boxed_slice();
        Archive { input, read, limit, data: 0, padding: 0, number: 0, current: None, buffer }
    }

    /// The next entry; what is left of the last one is skipped.
    pub fn next_entry(&mut self) -> Result<Option<Entry>, Blame> {
        self.skip().map_err(|why| (self.current.take(), why))?;
        let mut extension = Extension::default();
        while let Some(header) = self.header().map_err(|why| (None, why))? {
            let spelled = match &extension.path {
                Some(path) => path.clone(),
                None => header.path_bytes().into_owned(),
            };
            match self.take(&header, &mut extension) {
                Ok(None) => {}
                Ok(Some(entry)) => {
                    self.current = Some(entry.path.clone());
                    return Ok(Some(entry));
                }
                Err(why) => return Err((Some(spelled), why)),
            }
        }
        // An extended header with nothing behind it.
        if extension.bytes > 0 { Err((None, Refusal::Truncated)) } else { Ok(None) }
    }

    /// An extended header goes into `extension`; anything else is an entry.
    fn take(
        &mut self,
        header: &Header,
        extension: &mut Extension,
    ) -> Result<Option<Entry>, Refusal> {
        match header.as_old().linkflag[0] {
            b'L' => extension.path = Some(self.long_name(header, extension.bytes)?),
            b'K' => extension.link = Some(self.long_name(header, extension.bytes)?),
            b'x' | b'X' => {
                let bytes = self.extension(header, extension.bytes)?;
                extension.read(&bytes)?;
            }
            // Global headers: comments of git archive, ignored as in docker.
            b'g' => return self.extension(header, 0).map(|_| None),
            _ => return self.entry(header, std::mem::take(extension)).map(Some),
        }
        extension.bytes += size(header)?;
        Ok(None)
    }

    fn entry(&mut self, header: &Header, extension: Extension) -> Result<Entry, Refusal> {
        let number = self.number;
        self.number += 1;
        let path = extension.path.unwrap_or_else(|| header.path_bytes().into_owned());
        let link = match extension.link {
            Some(link) => link,
            None => header.link_name_bytes().unwrap_or_default().into_owned(),
        };
        if path.contains(&0) || link.contains(&0) {
            return Err(Refusal::Nul);
        }
        if extension.sparse {
            return Err(Refusal::Sparse);
        }
        let kind = kind(header, &path, link)?;
        let size = match (&kind, extension.size) {
            (Kind::File, Some(size)) => in_range(Some(size))?,
            (Kind::File, None) => size(header)?,
            _ => 0,
        };
        self.data = size;
        self.padding = size.next_multiple_of(BLOCK as u64) - size;
        let old = header.as_old();
        let meta = Meta {
            mode: owner_or_mode(&old.mode, None, "mode")? & 0o7777,
            uid: owner_or_mode(&old.uid, extension.uid, "owner")?,
            gid: owner_or_mode(&old.gid, extension.gid, "group")?,
            mtime: extension.mtime.unwrap_or(clamp(number_in(&old.mtime).unwrap_or(0))),
            xattrs: extension.xattrs,
        };
        Ok(Entry { number, path, kind, size, meta })
    }

    /// The next piece of the entry's data, empty at its end.
    pub fn data(&mut self) -> Result<&[u8], Refusal> {
        let want = self.data.min(CHUNK as u64) as usize;
        let n = self.read_some(want)?;
        if n == 0 && want > 0 {
            return Err(Refusal::Truncated);
        }
        self.data -= n as u64;
        Ok(&self.buffer[..n])
    }

    /// Reads to the end of the input, so that digests get checked, and returns
    /// how much the whole image has given by now.
    pub fn finish(mut self) -> Result<u64, Refusal> {
        while self.read_some(CHUNK)? > 0 {}
        Ok(self.read)
    }

    /// Skips what is left of the current entry.
    fn skip(&mut self) -> Result<(), Refusal> {
        while self.data > 0 {
            self.data()?;
        }
        while self.padding > 0 {
            let n = self.read_some(self.padding as usize)?;
            if n == 0 {
                return Err(Refusal::Truncated);
            }
            self.padding -= n as u64;
        }
        Ok(())
    }

    /// The next header that is no end mark; `None` at the end of the archive.
    fn header(&mut self) -> Result<Option<Header>, Refusal> {
        self.skip()?;
        let Some(header) = self.block()? else { return Ok(None) };
        if header.as_bytes().iter().all(|&b| b == 0) {
            return match self.block()? {
                Some(second) if second.as_bytes().iter().any(|&b| b != 0) => {
                    Err(Refusal::Header("a lone zero block"))
                }
                _ => Ok(None),
            };
        }
        if checksum_matches(&header) {
            Ok(Some(header))
        } else {
            Err(Refusal::Header("wrong checksum"))
        }
    }

    fn block(&mut self) -> Result<Option<Header>, Refusal> {
        let mut header = Header::new_old();
        let mut filled = 0;
        while filled < BLOCK {
            let n = self.read_some(BLOCK - filled)?;
            if n == 0 {
                return if filled == 0 { Ok(None) } else { Err(Refusal::Truncated) };
            }
            header.as_mut_bytes()[filled..filled + n].copy_from_slice(&self.buffer[..n]);
            filled += n;
        }
        Ok(Some(header))
    }

    /// Reads the data of an extended header. `before` bytes of extended headers
    /// belong to the same entry.
    fn extension(&mut self, header: &Header, before: u64) -> Result<Vec<u8>, Refusal> {
        let size = size(header)?;
        if before + size > MAX_EXTENSION {
            return Err(Refusal::HeaderTooLarge);
        }
        self.data = size;
        self.padding = size.next_multiple_of(BLOCK as u64) - size;
        let mut bytes = Vec::new();
        while self.data > 0 {
            bytes.extend_from_slice(self.data()?);
        }
        Ok(bytes)
    }

    fn long_name(&mut self, header: &Header, before: u64) -> Result<Vec<u8>, Refusal> {
        let mut name = self.extension(header, before)?;
        name.truncate(name.iter().position(|&b| b == 0).unwrap_or(name.len()));
        Ok(name)
    }

    /// Reads up to `want` bytes into the buffer; 0 at the end of the input.
    fn read_some(&mut self, want: usize) -> Result<usize, Refusal> {
        let buffer = &mut self.buffer[..want.min(CHUNK)];
        let n = loop {
            match self.input.read(buffer) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                other => break other?,
            }
        };
        self.read += n as u64;
        if self.read > self.limit {
            return Err(Refusal::Limit { what: "bytes", limit: self.limit });
        }
        Ok(n)
    }
}

/// What extended headers say about the entry that follows them.
#[derive(Default)]
struct Extension {
    /// Their length so far.
    bytes: u64,
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
    uid: Option<u64>,
    gid: Option<u64>,
    mtime: Option<u32>,
    sparse: bool,
    xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Extension {
    fn read(&mut self, header: &[u8]) -> Result<(), Refusal> {
        let number = |value| pax::decimal(value).map(Some).ok_or(Refusal::Pax);
        for record in pax::records(header) {
            let (key, value) = record?;
            match key {
                b"path" | b"GNU.sparse.name" if !value.is_empty() => {
                    self.path = Some(value.to_vec())
                }
                b"linkpath" if !value.is_empty() => self.link = Some(value.to_vec()),
                b"size" => self.size = number(value)?,
                b"uid" => self.uid = number(value)?,
                b"gid" => self.gid = number(value)?,
                b"mtime" => self.mtime = Some(seconds(value)?),
                _ => {}
            }
            self.sparse |= key.starts_with(b"GNU.sparse.");
            if let Some(name) = key.strip_prefix(b"SCHILY.xattr.") {
                if value.len() > MAX_ATTRIBUTE {
                    return Err(Refusal::OutOfRange("size of an extended attribute"));
                }
                if keeps(name) {
                    self.xattrs.retain(|(other, _)| other != name);
                    self.xattrs.push((name.to_vec(), value.to_vec()));
                }
            }
        }
        Ok(())
    }
}

/// A PAX time, `[-]SECONDS[.FRACTION]`.
fn seconds(value: &[u8]) -> Result<u32, Refusal> {
    let whole = value.split(|&b| b == b'.').next().unwrap_or_default();
    let (negative, digits) = whole.strip_prefix(b"-").map_or((false, whole), |d| (true, d));
    let seconds = pax::decimal(digits).ok_or(Refusal::Pax)?;
    Ok(if negative { 0 } else { clamp(i64::try_from(seconds).unwrap_or(i64::MAX)) })
}

/// What squashfs can hold of a time.
fn clamp(seconds: i64) -> u32 {
    u32::try_from(seconds.max(0)).unwrap_or(u32::MAX)
}
