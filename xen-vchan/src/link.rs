//! One end of the shared pages: two rings and the interface page. It knows no
//! event channel: who must be told of a change is told by a closure.

use std::io;

use crate::State;
use crate::interface::Interface;
use crate::ring::{Consumer, Producer, Ring};

#[derive(Debug)]
pub struct Link {
    incoming: Consumer,
    outgoing: Producer,
    pub interface: Interface,
}

impl Link {
    pub fn new(incoming: Ring, outgoing: Ring, interface: Interface) -> Link {
        Link {
            incoming: Consumer::new(incoming, &interface),
            outgoing: Producer::new(outgoing, &interface),
            interface,
        }
    }

    /// See [`crate::Vchan::read`].
    pub fn read(&mut self, buf: &mut [u8], notify: impl FnOnce()) -> io::Result<usize> {
        if buf.is_empty() {
            return Ok(0);
        }
        let mut ready = self.incoming.ready(&self.interface)?;
        if ready < buf.len() {
            // Ask first, look again then: what arrives in between is seen.
            self.interface.request_write_notification();
            ready = self.incoming.ready(&self.interface)?;
        }
        if ready == 0 {
            if self.interface.peer_state() != State::Closed {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            // It may have written and closed since the last look.
            ready = self.incoming.ready(&self.interface)?;
        }
        let n = ready.min(buf.len());
        if n > 0 {
            self.incoming.take(&self.interface, &mut buf[..n]);
            if self.interface.peer_awaits_read() {
                notify();
            }
        }
        Ok(n)
    }

    /// See [`crate::Vchan::write`].
    pub fn write(&mut self, buf: &[u8], notify: impl FnOnce()) -> io::Result<usize> {
        if self.interface.peer_state() == State::Closed {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        if buf.is_empty() {
            return Ok(0);
        }
        let mut space = self.outgoing.space(&self.interface)?;
        if space < buf.len() {
            self.interface.request_read_notification();
            space = self.outgoing.space(&self.interface)?;
        }
        let n = space.min(buf.len());
        if n == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.outgoing.put(&self.interface, &buf[..n]);
        if self.interface.peer_awaits_write() {
            notify();
        }
        Ok(n)
    }
}
