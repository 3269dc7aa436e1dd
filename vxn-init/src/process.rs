//! A process of the container, as the session sees it.

use nix::{
    poll::{PollFd, PollFlags},
    unistd::Pid,
};
use vxn_proto::{ExitStatus, ProcessId, StreamId, StreamKind, WindowSize};

use crate::{
    Result,
    channel::Outbox,
    error::Context,
    stdio::Ends,
    stream::{Input, Output},
    sys,
};

/// A process from its start until its exit and all its output have been sent.
#[derive(Debug)]
pub struct Process {
    pid: Pid,
    terminal: bool,
    input: Option<Input>,
    outputs: Vec<Output>,
    status: Option<ExitStatus>,
}

impl Process {
    /// A process that has started.
    pub fn new(id: ProcessId, pid: Pid, ends: Ends) -> Self {
        let terminal = ends.error.is_none();
        let input = ends.input.map(|fd| Input::new(StreamId::stdin(id), fd, terminal));
        let stdout = Output::new(StreamId::stdout(id), ends.output);
        let stderr = ends.error.map(|fd| Output::new(StreamId::stderr(id), fd));
        let outputs = std::iter::once(stdout).chain(stderr).collect();
        Self { pid, terminal, input, outputs, status: None }
    }

    /// Its process id.
    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// Notes how it ended.
    pub fn exited(&mut self, status: ExitStatus) {
        self.status = Some(status);
    }

    /// Whether it has ended; its output may still be on the way.
    pub fn has_exited(&self) -> bool {
        self.status.is_some()
    }

    /// How it ended, once all output has been sent.
    pub fn finished(&self) -> Option<ExitStatus> {
        self.status.filter(|_| self.outputs.is_empty())
    }

    /// Sends it a signal, unless it has ended.
    pub fn signal(&self, signal: u8) {
        if self.status.is_none() {
            // It cannot be gone before it is waited for; a bad number is no
            // business of the process.
            let _ = sys::kill(self.pid, signal);
        }
    }

    /// Sets the size of its terminal, if it has one and still runs.
    pub fn resize(&self, size: WindowSize) -> Result<()> {
        match self.outputs.first().map(Output::fd) {
            Some(fd) if self.terminal => sys::set_window_size(fd, size).context("size a terminal"),
            _ => Ok(()),
        }
    }

    /// Takes data for its stdin; without one it is dropped.
    pub fn data(&mut self, bytes: &[u8]) -> Result<()> {
        match &mut self.input {
            Some(input) => Ok(input.data(bytes)?),
            None => Ok(()),
        }
    }

    /// Takes the end of its stdin.
    pub fn end_input(&mut self) {
        if let Some(input) = &mut self.input {
            input.end();
        }
    }

    /// Takes credit for one of its outputs; an output that has ended needs none.
    pub fn credit(&mut self, kind: StreamKind, bytes: u32) -> Result<()> {
        match self.outputs.iter_mut().find(|output| output.id().kind == kind) {
            Some(output) => Ok(output.credit(bytes)?),
            None => Ok(()),
        }
    }

    /// Closes an output that nobody reads any more: the process's next write to
    /// it fails, or kills it with SIGPIPE, as on any pipe.
    pub fn hang_up(&mut self, kind: StreamKind, outbox: &mut Outbox) {
        self.outputs.retain(|output| {
            let open = output.id().kind != kind;
            if !open {
                outbox.eof(output.id());
            }
            open
        });
    }

    /// Moves what can be moved without waiting. With `last`, nobody writes to
    /// the outputs any more who counts.
    pub fn pump(&mut self, outbox: &mut Outbox, last: bool) {
        if let Some(input) = &mut self.input {
            input.pump(outbox);
        }
        self.outputs.retain_mut(|output| output.pump(outbox, last));
    }

    /// The descriptors to wait for.
    pub fn poll_fds(&self) -> impl Iterator<Item = PollFd<'_>> {
        let input = self.input.as_ref().and_then(Input::poll_fd);
        let outputs = self.outputs.iter().filter_map(Output::poll_fd);
        input
            .map(|fd| PollFd::new(fd, PollFlags::POLLOUT))
            .into_iter()
            .chain(outputs.map(|fd| PollFd::new(fd, PollFlags::POLLIN)))
    }
}
