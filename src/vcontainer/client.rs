//! A verb at the monitor's socket, seen from the monitor.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

use nix::poll::PollFlags;

use super::message::{Answer, Request};
use crate::container::report;

/// The most that is kept for a verb that does not read, in bytes.
const MAX_UNREAD: usize = 64 << 20;

/// A verb: it asks once, and goes when it has its answer.
#[derive(Debug)]
pub struct Client {
    stream: UnixStream,
    incoming: Vec<u8>,
    outgoing: Vec<u8>,
    gone: bool,
}

impl Client {
    /// Takes over a connection.
    pub fn new(stream: UnixStream) -> io::Result<Client> {
        stream.set_nonblocking(true)?;
        Ok(Client { stream, incoming: Vec::new(), outgoing: Vec::new(), gone: false })
    }

    /// What to poll for.
    pub fn wanted(&self) -> (BorrowedFd<'_>, PollFlags) {
        let mut wanted = PollFlags::POLLIN;
        wanted.set(PollFlags::POLLOUT, !self.outgoing.is_empty());
        (self.stream.as_fd(), wanted)
    }

    /// Whether nobody is there any more.
    pub fn is_gone(&self) -> bool {
        self.gone
    }

    /// The request, once it is there as a whole.
    pub fn read(&mut self) -> Option<Request> {
        let mut buffer = [0; 4096];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => self.gone = true,
                Ok(length) => {
                    self.incoming.extend(&buffer[..length]);
                    continue;
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => self.gone = true,
            }
            break;
        }
        let mut unread = self.incoming.as_slice();
        match report::receive(&mut unread) {
            Ok(request) => {
                self.incoming.clear();
                Some(request)
            }
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => None,
            Err(_) => {
                self.gone = true;
                None
            }
        }
    }

    /// Answers, without waiting for the reader.
    pub fn answer(&mut self, answer: &Answer) {
        // Neither JSON nor a vector fails here.
        if report::send(&mut self.outgoing, answer).is_err() || self.outgoing.len() > MAX_UNREAD {
            self.gone = true;
        }
        self.flush();
    }

    /// Goes on writing.
    pub fn flush(&mut self) {
        while !self.outgoing.is_empty() && !self.gone {
            match self.stream.write(&self.outgoing) {
                Ok(length) => drop(self.outgoing.drain(..length)),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
                Err(_) => self.gone = true,
            }
        }
    }

    /// Writes what is left to a verb that reads, before the monitor ends.
    pub fn finish(mut self) {
        // A verb that does not read for so long is not waited for.
        let patience = Some(std::time::Duration::from_secs(5));
        let _ = self.stream.set_nonblocking(false);
        let _ = self.stream.set_write_timeout(patience);
        let _ = self.stream.write_all(&std::mem::take(&mut self.outgoing));
    }
}
