//! Which kind of kernel a file is, by its first bytes.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::{Error, Result, io_error};

/// An uncompressed kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// x86: an ELF vmlinux.
    Elf,
    /// arm64: a flat Image (Linux, Documentation/arch/arm64/booting.rst).
    Arm64Image,
}

/// How a payload is compressed. The kernel's build knows these, and lzo.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Compression {
    Gzip,
    Xz,
    Zstd,
    /// The legacy frame format, `lz4 -l`.
    Lz4Legacy,
    Bzip2,
    Lzma,
}

/// Where in the file the compressed kernel is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Packed {
    pub compression: Compression,
    /// Bytes from the start of the file.
    pub offset: u64,
    /// Bytes of compressed data.
    pub len: u64,
    /// The unpacked size in bytes, where the kernel's build appended it.
    pub unpacked: Option<u32>,
}

#[derive(Debug)]
pub(super) enum Shape {
    Ready(Format),
    Packed(Packed),
}

/// Enough for every magic number and for x86's setup header.
const HEAD: usize = 0x250;

pub(super) fn recognise(file: &File, path: &Path) -> Result<Shape> {
    let read_error = io_error("read", path);
    let head = read_head(file, 0).map_err(&read_error)?;
    if head.starts_with(b"\x7fELF") {
        return Ok(Shape::Ready(Format::Elf));
    }
    if head.get(0x38..0x3c) == Some(b"ARM\x64") {
        return Ok(Shape::Ready(Format::Arm64Image));
    }
    if head.starts_with(b"MZ") && head.get(4..8) == Some(b"zimg") {
        return Err(unsupported(path, "an EFI zboot kernel"));
    }
    let size = file.metadata().map_err(&read_error)?.len();
    if head.get(0x202..0x206) == Some(b"HdrS") {
        return bzimage(file, &head, size, path).map(Shape::Packed);
    }
    match compression(&head, path)? {
        Some(compression) => {
            Ok(Shape::Packed(Packed { compression, offset: 0, len: size, unpacked: None }))
        }
        None => Err(Error::NotAKernel(path.to_owned())),
    }
}

/// The payload of a bzImage (Linux, Documentation/arch/x86/boot.rst).
fn bzimage(file: &File, head: &[u8], size: u64, path: &Path) -> Result<Packed> {
    let (Some(version), Some(offset), Some(len)) =
        (le16(head, 0x206), le32(head, 0x248), le32(head, 0x24c))
    else {
        return Err(corrupt(path, "the setup header is cut off"));
    };
    if version < 0x0208 {
        return Err(unsupported(path, "a boot protocol before 2.08"));
    }
    // A count of 0 means 4, for reasons of history.
    let sectors = if head[0x1f1] == 0 { 4 } else { u64::from(head[0x1f1]) };
    let offset = (sectors + 1) * 512 + u64::from(offset);
    let len = u64::from(len);
    if len < 8 || offset.checked_add(len).is_none_or(|end| end > size) {
        return Err(corrupt(path, "its payload lies outside the file"));
    }
    let magic = read_head(file, offset).map_err(io_error("read", path))?;
    let Some(compression) = compression(&magic, path)? else {
        return Err(corrupt(path, "its payload is of an unknown compression"));
    };
    if compression == Compression::Gzip {
        return Ok(Packed { compression, offset, len, unpacked: None });
    }
    // Linux, scripts/Makefile.lib: size_append, for all formats but gzip.
    let mut word = [0; 4];
    file.read_exact_at(&mut word, offset + len - 4).map_err(io_error("read", path))?;
    Ok(Packed { compression, offset, len: len - 4, unpacked: Some(u32::from_le_bytes(word)) })
}

/// The release that a bzImage names: the first word of its version, at most 127 bytes.
/// None in other files.
pub(super) fn release(file: &File) -> io::Result<Option<String>> {
    let head = read_head(file, 0)?;
    if head.get(0x202..0x206) != Some(b"HdrS") {
        return Ok(None);
    }
    // Linux, Documentation/arch/x86/boot.rst: less 0x200; 0 is none.
    let Some(at) = le16(&head, 0x20e).filter(|at| *at > 0) else { return Ok(None) };
    let text = read_head(file, u64::from(at) + 0x200)?;
    let word = text.iter().take(128).position(|byte| matches!(byte, b' ' | 0));
    Ok(word.and_then(|end| std::str::from_utf8(&text[..end]).ok()).map(str::to_owned))
}

fn compression(head: &[u8], path: &Path) -> Result<Option<Compression>> {
    const KNOWN: [(&[u8], Compression); 6] = [
        (b"\x1f\x8b", Compression::Gzip),
        (b"\xfd7zXZ\0", Compression::Xz),
        (b"\x28\xb5\x2f\xfd", Compression::Zstd),
        (b"\x02\x21\x4c\x18", Compression::Lz4Legacy),
        (b"BZh", Compression::Bzip2),
        // No magic number: the usual properties byte and a dictionary of whole 64 KiB.
        (b"\x5d\0\0", Compression::Lzma),
    ];
    if head.starts_with(b"\x89LZO") {
        return Err(unsupported(path, "lzo compression (use a kernel with another one)"));
    }
    Ok(KNOWN.iter().find(|(magic, _)| head.starts_with(magic)).map(|(_, c)| *c))
}

fn unsupported(path: &Path, what: &'static str) -> Error {
    Error::Unsupported { path: path.to_owned(), what }
}

fn corrupt(path: &Path, why: &str) -> Error {
    Error::Corrupt { path: path.to_owned(), why: why.to_owned() }
}

/// Up to [`HEAD`] bytes from `offset`.
fn read_head(file: &File, offset: u64) -> io::Result<Vec<u8>> {
    let mut head = vec![0; HEAD];
    let mut have = 0;
    while have < HEAD {
        match file.read_at(&mut head[have..], offset + have as u64)? {
            0 => break,
            n => have += n,
        }
    }
    head.truncate(have);
    Ok(head)
}

fn le16(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn le32(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}
