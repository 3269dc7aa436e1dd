//! Bytes between a [`Session`](super::Session) and the guest, over vchan.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use vxn_proto::{Decoder, Frame, ToHost};
use xen_vchan::{State, Vchan};

/// Bytes of the ring towards the host, and of the one towards the guest.
const RING: usize = 128 * 1024;
/// Bytes taken off the ring before everything else has its turn again.
const BATCH: usize = 4 * RING;

/// The server's end of a DomU's channel.
#[derive(Debug)]
pub struct Channel {
    vchan: Vchan,
    decoder: Decoder<ToHost>,
    buffer: Vec<u8>,
}

/// What a turn of [`Channel::receive`] leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rest {
    /// Nothing: wait for the file descriptor.
    Drained,
    /// More bytes: come again without waiting.
    More,
    /// The guest has closed the channel.
    Closed,
}

impl Channel {
    /// Publishes the channel of domain `domid`, `/local/domain/N/vxn/channel`.
    pub fn serve(domid: u32) -> xen_vchan::Result<Channel> {
        let path = format!("/local/domain/{domid}/{}", vxn_proto::CHANNEL);
        let vchan = super::offer(domid, &path, RING)?;
        Ok(Channel { vchan, decoder: Decoder::new(), buffer: vec![0; RING] })
    }

    /// Readable when the guest has read, written, come or gone.
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.vchan.as_fd()
    }

    /// Takes the events that made the file descriptor readable.
    pub fn acknowledge(&self) -> io::Result<()> {
        self.vchan.acknowledge()
    }

    /// Takes what has arrived, a bounded amount at a time.
    pub fn receive<E: From<vxn_proto::Error> + From<io::Error>>(
        &mut self,
        mut each: impl FnMut(Frame<ToHost>) -> Result<(), E>,
    ) -> Result<Rest, E> {
        let mut taken = 0;
        while taken < BATCH {
            let length = match self.vchan.read(&mut self.buffer) {
                Ok(0) => return Ok(Rest::Closed),
                Ok(length) => length,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(Rest::Drained),
                Err(e) => return Err(e.into()),
            };
            taken += length;
            let mut input = &self.buffer[..length];
            while let Some(frame) = self.decoder.decode(&mut input)? {
                each(frame)?;
            }
        }
        Ok(Rest::More)
    }

    /// Sends what fits of `outbox` and drops it from there. To a guest that is
    /// gone nothing is sent; its end is reported by [`Channel::receive`].
    pub fn send(&mut self, outbox: &mut Vec<u8>) -> io::Result<()> {
        let mut sent = 0;
        while sent < outbox.len() && self.vchan.state() != State::Closed {
            match self.vchan.write(&outbox[sent..]) {
                Ok(length) => sent += length,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
                Err(e) if e.kind() == io::ErrorKind::BrokenPipe => break,
                Err(e) => return Err(e),
            }
        }
        outbox.drain(..sent);
        Ok(())
    }
}
