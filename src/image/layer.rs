//! One layer's blob as the tar archive that it is.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};

use flate2::bufread::MultiGzDecoder;

use super::ahead::Ahead;
use super::digest::Verified;
use super::layout::{LayerRef, Layout};
use super::merge::Layers;

/// The largest zstd window that is decoded, 128 MiB as in zstd itself. Only what
/// a layer fills of it costs memory.
const ZSTD_WINDOW_LOG: u32 = 27;
const BUFFER: usize = 1 << 17;

/// The layers of an image, each readable as often as needed. Both the blob and
/// the archive in it are held to their digests while they are read.
#[derive(Debug)]
pub struct Blobs<'a> {
    /// Where the blobs are.
    pub layout: &'a Layout,
    /// The layers, lowest first.
    pub layers: &'a [LayerRef],
}

impl Layers for Blobs<'_> {
    fn count(&self) -> usize {
        self.layers.len()
    }

    /// One thread hashes and decompresses the blob, the reader's hashes the tar.
    fn open(&self, index: usize) -> io::Result<Box<dyn Read + '_>> {
        let layer = self.layers[index];
        let file = File::open(self.layout.blob(&layer.digest))?;
        let blob = BufReader::with_capacity(BUFFER, Verified::new(file, layer.digest));
        let tar = Verified::new(Ahead::of(|| decompress(blob, false))?, layer.diff_id);
        Ok(Box::new(BufReader::with_capacity(BUFFER, tar)))
    }
}

/// Goes by the content and not by the media type, as docker does. `xz` allows
/// what asks for up to 4 GiB of memory: a user's own file may, a layer may not.
pub fn decompress<'a>(mut blob: impl BufRead + 'a, xz: bool) -> io::Result<Box<dyn Read + 'a>> {
    Ok(match *blob.fill_buf()? {
        [0x1f, 0x8b, ..] => Box::new(MultiGzDecoder::new(blob)),
        [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => {
            let mut decoder = zstd::Decoder::with_buffer(blob)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG)?;
            Box::new(decoder)
        }
        [b'B', b'Z', b'h', b'1'..=b'9', ..] => Box::new(bzip2::bufread::MultiBzDecoder::new(blob)),
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] if xz => {
            Box::new(lzma_rust2::XzReader::new(blob, true))
        }
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => {
            let why = "layers compressed with xz are not supported: use gzip or zstd";
            return Err(io::Error::new(io::ErrorKind::Unsupported, why));
        }
        _ => Box::new(blob),
    })
}
