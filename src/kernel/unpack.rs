//! Decompression, streaming: neither the packed nor the unpacked kernel is ever
//! in memory as a whole.

use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

use lzma_rust2::{LzmaReader, XzReader};

use super::format::{Compression, Packed};
use super::{Error, Result};

/// The kernel's `lzma -9` asks for a 64 MiB dictionary; KiB.
const LZMA_MEMORY: u32 = 1 << 20;

/// Unpacks `packed`, which is in `file`, into `out`: at most `limit` bytes. Errors
/// speak of `path`.
pub(super) fn unpack(
    file: &File,
    packed: &Packed,
    path: &Path,
    out: &mut impl Write,
    limit: u64,
) -> Result<()> {
    let corrupt = |why: String| Error::Corrupt { path: path.to_owned(), why };
    let input = BufReader::with_capacity(1 << 16, Section::new(file, packed));
    let mut input = decoder(packed.compression, input).map_err(|e| corrupt(e.to_string()))?;
    let mut buffer = vec![0; 1 << 17];
    let mut total = 0;
    loop {
        let n = match input.read(&mut buffer) {
            Ok(0) => break,
            Ok(n) => n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(corrupt(e.to_string())),
        };
        total += n as u64;
        if total > limit {
            return Err(Error::TooBig(path.to_owned()));
        }
        out.write_all(&buffer[..n]).map_err(super::io_error("unpack", path))?;
    }
    match packed.unpacked {
        Some(size) if u64::from(size) != total => {
            Err(corrupt(format!("it unpacks to {total} bytes where {size} were promised")))
        }
        _ => Ok(()),
    }
}

/// The decoder for `compression`. An xz file may name a dictionary of up to
/// 4 GiB, but pages of it are touched only as far as there is output.
fn decoder<'a>(
    compression: Compression,
    input: impl io::BufRead + 'a,
) -> io::Result<Box<dyn Read + 'a>> {
    Ok(match compression {
        Compression::Gzip => Box::new(flate2::bufread::GzDecoder::new(input)),
        Compression::Xz => Box::new(XzReader::new(input, false)),
        Compression::Zstd => Box::new(zstd::Decoder::with_buffer(input)?.single_frame()),
        Compression::Lz4Legacy => Box::new(Lz4Legacy::new(input)?),
        Compression::Bzip2 => Box::new(bzip2::bufread::BzDecoder::new(input)),
        Compression::Lzma => Box::new(LzmaReader::new_mem_limit(input, LZMA_MEMORY, None)?),
    })
}

/// A stretch of a file, read by position: two readers of one file do not meet.
struct Section<'a> {
    file: &'a File,
    at: u64,
    end: u64,
}

impl<'a> Section<'a> {
    fn new(file: &'a File, packed: &Packed) -> Self {
        Section { file, at: packed.offset, end: packed.offset + packed.len }
    }
}

impl Read for Section<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.end - self.at).unwrap_or(usize::MAX);
        let want = buf.len().min(left);
        let n = self.file.read_at(&mut buf[..want], self.at)?;
        self.at += n as u64;
        Ok(n)
    }
}

/// lz4's legacy frame: a magic number, then blocks of at most 8 MiB unpacked,
/// each behind its packed size (lz4, doc/lz4_Frame_format.md). No end mark, no
/// checksum; the magic number may come again where frames were joined.
struct Lz4Legacy<R> {
    input: R,
    packed: Vec<u8>,
    block: Vec<u8>,
    at: usize,
    len: usize,
}

const LZ4_MAGIC: u32 = 0x184c_2102;
const LZ4_BLOCK: usize = 8 << 20;

impl<R: Read> Lz4Legacy<R> {
    fn new(mut input: R) -> io::Result<Self> {
        let mut magic = [0; 4];
        input.read_exact(&mut magic)?;
        Ok(Lz4Legacy { input, packed: Vec::new(), block: vec![0; LZ4_BLOCK], at: 0, len: 0 })
    }

    /// Unpacks the next block; false at the end.
    fn next_block(&mut self) -> io::Result<bool> {
        let Some(size) = self.next_size()? else { return Ok(false) };
        let size = size as usize;
        if size > lz4_flex::block::get_maximum_output_size(LZ4_BLOCK) {
            return Err(io::Error::other("an lz4 block is larger than the format allows"));
        }
        self.packed.resize(size, 0);
        self.input.read_exact(&mut self.packed)?;
        self.len = lz4_flex::block::decompress_into(&self.packed, &mut self.block)
            .map_err(io::Error::other)?;
        self.at = 0;
        Ok(true)
    }

    fn next_size(&mut self) -> io::Result<Option<u32>> {
        loop {
            let mut word = [0; 4];
            match self.input.read(&mut word)? {
                0 => return Ok(None),
                n => self.input.read_exact(&mut word[n..])?,
            }
            let size = u32::from_le_bytes(word);
            if size != LZ4_MAGIC {
                return Ok(Some(size));
            }
        }
    }
}

impl<R: Read> Read for Lz4Legacy<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        while self.at == self.len {
            if !self.next_block()? {
                return Ok(0);
            }
        }
        let n = buf.len().min(self.len - self.at);
        buf[..n].copy_from_slice(&self.block[self.at..self.at + n]);
        self.at += n;
        Ok(n)
    }
}
