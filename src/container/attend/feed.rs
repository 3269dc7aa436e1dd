//! What a client has for the stdin of a process, as far as the guest takes it.

use std::collections::VecDeque;

use vxn_proto::ProcessId;

use super::super::control::{ClientId, Clients};
use crate::guest::Session;

/// A client's stdin. Its window bounds what waits here.
#[derive(Debug)]
pub struct Feed {
    /// `None` until the process is there.
    process: Option<ProcessId>,
    pending: VecDeque<u8>,
    ended: bool,
    /// The process's stdin ends with the client's.
    ends_it: bool,
}

impl Feed {
    /// A feed of `process`; with `ends_it` its end is passed on.
    pub fn new(process: Option<ProcessId>, ends_it: bool) -> Feed {
        Feed { process, pending: VecDeque::new(), ended: false, ends_it }
    }

    /// The main process is there: it is what a feed without a process waits for.
    pub fn aim(&mut self, main: ProcessId) {
        self.process.get_or_insert(main);
    }

    /// More bytes.
    pub fn put(&mut self, bytes: &[u8]) {
        self.pending.extend(bytes);
    }

    /// No more bytes.
    pub fn end(&mut self) {
        self.ended = true;
    }

    /// Hands on what the guest takes. Returns whether there may be more.
    pub fn pump(&mut self, client: ClientId, session: &mut Session, clients: &mut Clients) -> bool {
        let Some(process) = self.process else { return true };
        while !self.pending.is_empty() {
            let taken = session.send_stdin(process, self.pending.as_slices().0);
            if taken == 0 {
                return true;
            }
            self.pending.drain(..taken);
            clients.consumed(client, taken);
        }
        if self.ended && self.ends_it {
            session.close_stdin(process);
        }
        !self.ended
    }
}
