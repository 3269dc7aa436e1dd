//! One layer's blob as the tar archive that it is.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};

use flate2::bufread::MultiGzDecoder;

use super::digest::Verified;
use super::layout::{LayerRef, Layout};
use super::merge::Layers;

/// The largest zstd window that is decoded, 128 MiB as in zstd itself.
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

    fn open(&self, index: usize) -> io::Result<Box<dyn Read + '_>> {
        let layer = self.layers[index];
        let file = File::open(self.layout.blob(&layer.digest))?;
        let blob = BufReader::with_capacity(BUFFER, Verified::new(file, layer.digest));
        let tar = Verified::new(decompress(blob)?, layer.diff_id);
        Ok(Box::new(BufReader::with_capacity(BUFFER, tar)))
    }
}

/// Goes by the content and not by the media type, as docker does.
fn decompress<'a>(mut blob: impl BufRead + 'a) -> io::Result<Box<dyn Read + 'a>> {
    Ok(match *blob.fill_buf()? {
        [0x1f, 0x8b, ..] => Box::new(MultiGzDecoder::new(blob)),
        [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => {
            let mut decoder = zstd::Decoder::with_buffer(blob)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG)?;
            Box::new(decoder)
        }
        _ => Box::new(blob),
    })
}
