//! Xen's notes in an ELF kernel (Xen, xen/include/public/elfnote.h).

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// The notes that say how a kernel can be entered.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Notes {
    /// `XEN_ELFNOTE_ENTRY`: PV.
    pub entry: bool,
    /// `XEN_ELFNOTE_PHYS32_ENTRY`: PVH.
    pub phys32_entry: bool,
}

const ENTRY: u32 = 1;
const PHYS32_ENTRY: u32 = 18;

const PT_NOTE: u32 = 4;

/// Linux has about five program headers, and a kilobyte of notes.
const MAX_HEADERS: u64 = 128;
const MAX_NOTES: u64 = 1 << 20;

/// Reads the notes of the ELF image in `file`.
pub(super) fn read(file: &File) -> io::Result<Notes> {
    let mut notes = Notes::default();
    for (offset, size) in segments(file)? {
        if size > MAX_NOTES {
            return Err(bad("an ELF note segment is too large"));
        }
        let mut bytes = vec![0; size as usize];
        file.read_exact_at(&mut bytes, offset)?;
        scan(&bytes, &mut notes);
    }
    Ok(notes)
}

/// File offset and size of each note segment.
fn segments(file: &File) -> io::Result<Vec<(u64, u64)>> {
    let layout = Layout::of(file)?;
    let mut header = vec![0; layout.entry_size as usize];
    let mut found = Vec::new();
    for index in 0..layout.count {
        let at = layout.table.checked_add(index * layout.entry_size);
        file.read_exact_at(&mut header, at.ok_or_else(|| bad("its ELF header is wrong"))?)?;
        if word(&header, 0, 4) == u64::from(PT_NOTE) {
            let (offset, size) = if layout.wide { (8, 32) } else { (4, 16) };
            let width = layout.width();
            found.push((word(&header, offset, width), word(&header, size, width)));
        }
    }
    Ok(found)
}

/// Where the program headers are.
struct Layout {
    wide: bool,
    table: u64,
    entry_size: u64,
    count: u64,
}

impl Layout {
    fn of(file: &File) -> io::Result<Layout> {
        let mut ident = [0; 16];
        file.read_exact_at(&mut ident, 0)?;
        let wide = match (ident[4], ident[5]) {
            (1, 1) => false,
            (2, 1) => true,
            _ => return Err(bad("not a little-endian ELF image")),
        };
        let mut header = vec![0; if wide { 64 } else { 52 }];
        file.read_exact_at(&mut header, 0)?;
        let (table, entry_size, count) = if wide {
            (word(&header, 32, 8), word(&header, 54, 2), word(&header, 56, 2))
        } else {
            (word(&header, 28, 4), word(&header, 42, 2), word(&header, 44, 2))
        };
        if count > MAX_HEADERS || entry_size != if wide { 56 } else { 32 } {
            return Err(bad("its ELF program headers are wrong"));
        }
        Ok(Layout { wide, table, entry_size, count })
    }

    fn width(&self) -> usize {
        if self.wide { 8 } else { 4 }
    }
}

/// Notes are `namesz, descsz, type, name, desc`, name and desc padded to 4 bytes.
fn scan(mut bytes: &[u8], notes: &mut Notes) {
    while bytes.len() >= 12 {
        let padded = |at| (word(bytes, at, 4) as usize).next_multiple_of(4);
        let (name_size, size) = (padded(0), padded(4));
        let kind = word(bytes, 8, 4) as u32;
        let name = bytes.get(12..12 + name_size);
        if name == Some(b"Xen\0") {
            notes.entry |= kind == ENTRY;
            notes.phys32_entry |= kind == PHYS32_ENTRY;
        }
        bytes = bytes.get(12 + name_size + size..).unwrap_or_default();
    }
}

/// The little-endian word of `width` bytes at `at`, which is inside `bytes`.
fn word(bytes: &[u8], at: usize, width: usize) -> u64 {
    bytes[at..at + width].iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte))
}

fn bad(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}
