//! A process's streams, pumped between its pipes and the channel without ever
//! blocking.

use std::{
    collections::VecDeque,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use nix::{errno::Errno, unistd};
use vxn_proto::{ReceiveWindow, SendWindow, StreamId, ToHost, Violation};

use crate::channel::Outbox;

/// What a terminal reads as the end of input (`VEOF`).
const END_OF_TRANSMISSION: u8 = 4;

/// stdout or stderr: from a pipe to the host, within the host's window.
#[derive(Debug)]
pub struct Output {
    id: StreamId,
    fd: OwnedFd,
    window: SendWindow,
}

impl Output {
    /// Takes our end of the pipe, which must not block.
    pub fn new(id: StreamId, fd: OwnedFd) -> Self {
        Self { id, fd, window: SendWindow::new() }
    }

    /// The stream.
    pub fn id(&self) -> StreamId {
        self.id
    }

    /// Our end of the pipe or terminal.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// The descriptor to poll, when there is room for what it may bring.
    pub fn poll_fd(&self) -> Option<BorrowedFd<'_>> {
        (self.window.available() > 0).then(|| self.fd.as_fd())
    }

    /// Takes credit from the host.
    pub fn credit(&mut self, bytes: u32) -> Result<(), Violation> {
        self.window.credit(bytes)
    }

    /// Sends what the pipe holds and the window allows. Returns whether the
    /// stream goes on; with `last`, a pipe that is empty has come to its end.
    pub fn pump(&mut self, outbox: &mut Outbox, last: bool) -> bool {
        while self.window.available() > 0 {
            match outbox.read_from(self.fd.as_fd(), self.id, self.window.available()) {
                Ok(count) if count > 0 => {
                    let _ = self.window.take(count);
                }
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) if !last => return true,
                // End of file, EIO of a terminal that nobody has open, or empty
                // after the last writer that counts.
                _ => {
                    outbox.eof(self.id);
                    return false;
                }
            }
        }
        true
    }
}

/// stdin: from the host into a pipe or a terminal.
#[derive(Debug)]
pub struct Input {
    id: StreamId,
    /// `None` once the process has closed its end, or we ours.
    fd: Option<OwnedFd>,
    terminal: bool,
    queue: VecDeque<u8>,
    window: ReceiveWindow,
    ended: bool,
}

impl Input {
    /// Takes our end of the pipe or the terminal's master, which must not block.
    pub fn new(id: StreamId, fd: OwnedFd, terminal: bool) -> Self {
        let window = ReceiveWindow::new();
        Self { id, fd: Some(fd), terminal, queue: VecDeque::new(), window, ended: false }
    }

    /// The descriptor to poll, when there is something to write.
    pub fn poll_fd(&self) -> Option<BorrowedFd<'_>> {
        if self.queue.is_empty() { None } else { self.fd.as_ref().map(AsFd::as_fd) }
    }

    /// Takes data from the host.
    pub fn data(&mut self, bytes: &[u8]) -> Result<(), Violation> {
        self.window.received(bytes.len())?;
        self.queue.extend(bytes);
        Ok(())
    }

    /// Takes the end of the stream from the host.
    pub fn end(&mut self) {
        if self.terminal && !self.ended {
            self.queue.push_back(END_OF_TRANSMISSION);
        }
        self.ended = true;
    }

    /// Writes what the process takes; what it will never take is dropped.
    pub fn pump(&mut self, outbox: &mut Outbox) {
        while !self.queue.is_empty() {
            let front = self.queue.as_slices().0;
            let count = match self.fd.as_ref().map(|fd| unistd::write(fd, front)) {
                Some(Ok(count)) => count,
                Some(Err(Errno::EAGAIN)) => return,
                Some(Err(Errno::EINTR)) => continue,
                Some(Err(_)) | None => {
                    self.fd = None;
                    self.queue.len()
                }
            };
            self.queue.drain(..count);
            if let Some(bytes) = self.window.consumed(count) {
                outbox.message(&ToHost::Window { stream: self.id, bytes });
            }
        }
        if self.ended && !self.terminal {
            self.fd = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use nix::fcntl::OFlag;
    use vxn_proto::{ProcessId, WINDOW};

    use super::*;

    fn pipe() -> (OwnedFd, OwnedFd) {
        unistd::pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK).unwrap()
    }

    fn fill(fd: &OwnedFd) -> usize {
        let mut total = 0;
        while let Ok(count) = unistd::write(fd, &[7; 4096]) {
            total += count;
        }
        total
    }

    #[test]
    fn output_stops_at_its_window_and_goes_on_with_credit() {
        let (read, write) = pipe();
        let mut output = Output::new(StreamId::stdout(ProcessId(0)), read);
        let mut outbox = Outbox::new();
        let mut written = 0;
        while output.poll_fd().is_some() {
            written += fill(&write);
            assert!(output.pump(&mut outbox, false));
        }
        assert!(written >= WINDOW as usize);
        assert!(output.pump(&mut outbox, true), "a shut window hides the end");
        output.credit(WINDOW).unwrap();
        drop(write);
        assert!(!output.pump(&mut outbox, false));
        assert!(output.credit(WINDOW).is_err());
    }

    #[test]
    fn an_empty_pipe_ends_only_when_it_is_the_last() {
        let (read, _write) = pipe();
        let mut output = Output::new(StreamId::stderr(ProcessId(0)), read);
        assert!(output.pump(&mut Outbox::new(), false));
        assert!(!output.pump(&mut Outbox::new(), true));
    }

    #[test]
    fn input_keeps_what_the_process_does_not_read_yet() {
        let (read, write) = pipe();
        let mut input = Input::new(StreamId::stdin(ProcessId(0)), write, false);
        let mut outbox = Outbox::new();
        input.data(&vec![1; WINDOW as usize]).unwrap();
        assert!(input.data(&[1]).is_err(), "beyond the window");
        input.end();
        let mut total = 0;
        let mut buffer = vec![0; 65536];
        loop {
            input.pump(&mut outbox);
            match unistd::read(&read, &mut buffer) {
                Ok(0) => break,
                Ok(count) => total += count,
                Err(error) => panic!("{error}"),
            }
        }
        assert_eq!(total, WINDOW as usize);
    }

    #[test]
    fn input_that_nobody_reads_is_dropped_and_credited() {
        let (read, write) = pipe();
        drop(read);
        let mut input = Input::new(StreamId::stdin(ProcessId(0)), write, false);
        for _ in 0..5 {
            input.data(&vec![1; WINDOW as usize]).unwrap();
            input.pump(&mut Outbox::new());
        }
    }
}
