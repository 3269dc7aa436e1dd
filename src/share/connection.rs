//! Messages out of a stream of bytes, and their answers.

use super::message::{decode, kind};
use super::server::{Export, Server};
use super::wire::{Error, Write9p};

/// Most bytes of a message.
pub const MSIZE: usize = vxn_proto::SHARE_MSIZE as usize;

/// Bytes before the body: size, type, tag.
pub const HEADER: usize = 4 + 1 + 2;

/// A guest's conversation with the server of one share.
#[derive(Debug)]
pub struct Connection {
    server: Server,
    /// Bytes that have come, of which so many at the front have been answered.
    pending: Vec<u8>,
    answered: usize,
}

impl Connection {
    /// A conversation about `export`; the guest may have so many fids, each of
    /// which is a file descriptor of this process.
    pub fn new(export: Export, max_fids: usize) -> Connection {
        Connection { server: Server::new(export, max_fids), pending: Vec::new(), answered: 0 }
    }

    /// Takes bytes of the guest. They wait until [`Connection::answer`] takes them,
    /// so answer all that is there before the next bytes.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.pending.drain(..std::mem::take(&mut self.answered));
        self.pending.extend_from_slice(bytes);
    }

    /// Does what the next whole message asks and appends the answer to `out`: one,
    /// of at most [`MSIZE`] bytes. Returns whether there was a whole message.
    ///
    /// # Errors
    /// [`Error`]; there is nothing more to be understood then.
    pub fn answer(&mut self, out: &mut Vec<u8>) -> Result<bool, Error> {
        let pending = &self.pending[self.answered..];
        let Some(&[a, b, c, d]) = pending.first_chunk() else { return Ok(false) };
        let size = u32::from_le_bytes([a, b, c, d]) as usize;
        let limit = self.server.msize();
        if !(HEADER..=limit).contains(&size) {
            return Err(Error::Size { size, limit });
        }
        if pending.len() < size {
            return Ok(false);
        }
        let (kind, tag) = (pending[4], [pending[5], pending[6]]);
        let request = decode(kind, &pending[HEADER..size])?;
        let start = begin(out, kind + 1, tag);
        if let Err(errno) = self.server.serve(request, out) {
            out.truncate(start);
            begin(out, kind::LERROR + 1, tag);
            out.put_u32(errno as u32);
        }
        let length = (out.len() - start) as u32;
        out[start..start + 4].copy_from_slice(&length.to_le_bytes());
        self.answered += size;
        Ok(true)
    }
}

/// Begins an answer whose size is not known yet; returns where.
fn begin(out: &mut Vec<u8>, kind: u8, tag: [u8; 2]) -> usize {
    let start = out.len();
    out.put_u32(0);
    out.put_u8(kind);
    out.put(&tag);
    start
}
