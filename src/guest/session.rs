//! One DomU's conversation: greeting, processes, streams and their windows.
//!
//! The guest is hostile: whatever it sends out of turn is an [`Error`], which
//! ends the conversation, and what is kept for it is bounded by the windows.

use std::collections::{BTreeMap, VecDeque};

use vxn_proto::{
    Answer, Configure, ExitStatus, FileRequest, Frame, ProcessId, ProcessSpec, Query,
    ReceiveWindow, SendWindow, StartFailure, StreamId, StreamKind, ToGuest, ToHost,
    VersionMismatch, Violation, WindowSize,
};

/// Why a conversation ended early.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The guest's vxn-init is of another time.
    #[error(transparent)]
    Version(#[from] VersionMismatch),
    /// Bytes that are no frame.
    #[error("the guest broke the protocol: {0}")]
    Frame(#[from] vxn_proto::Error),
    /// More data or credit than the window allows.
    #[error("the guest broke the protocol: {0}")]
    Window(#[from] Violation),
    /// A message that makes no sense now.
    #[error("the guest broke the protocol: {0} out of turn")]
    OutOfTurn(&'static str),
    /// Every number for a process is taken.
    #[error("too many processes run in the container")]
    TooMany,
    /// What is to be started does not fit into a message.
    #[error("the arguments and the environment are too long: {0}")]
    TooLong(vxn_proto::Error),
}

/// What the guest said, as far as the caller has to act on it.
#[derive(Debug, PartialEq, Eq)]
pub enum Event {
    /// It is up; answer with [`Session::configure`].
    Hello {
        /// Version that both ends speak.
        version: u32,
    },
    /// The process runs.
    Started(ProcessId),
    /// The process could not be started.
    StartFailed {
        /// Which one; its id is free again.
        process: ProcessId,
        /// What kind of failure.
        reason: StartFailure,
        /// The guest's words.
        message: String,
    },
    /// Bytes that a process wrote; tell [`Session::consumed`] when they are gone.
    Output {
        /// The stream.
        stream: StreamId,
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// A process's stream has ended.
    OutputEnd(StreamId),
    /// A process has ended.
    Exited {
        /// Which one.
        process: ProcessId,
        /// How.
        status: ExitStatus,
        /// A process of the container was killed for want of memory.
        oom_killed: bool,
    },
    /// The guest cannot go on and says why.
    Failed(String),
    /// The answer to the oldest question that had none.
    Answer(Answer),
    /// Its network is as it was told last, or why not.
    Networked(Option<String>),
}

/// How far the greeting is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Guest {
    /// Nothing was heard yet.
    Booting,
    /// It said hello.
    Greeted,
    /// It was told how to set itself up.
    Configuring,
    /// It is set up.
    Ready,
}

#[derive(Debug)]
struct Process {
    running: bool,
    /// `None` once stdin was closed.
    stdin: Option<SendWindow>,
    stdout: Option<ReceiveWindow>,
    stderr: Option<ReceiveWindow>,
}

impl Process {
    fn output(&mut self, kind: StreamKind) -> &mut Option<ReceiveWindow> {
        if kind == StreamKind::Stderr { &mut self.stderr } else { &mut self.stdout }
    }
}

/// The state of one conversation.
#[derive(Debug)]
pub struct Session {
    guest: Guest,
    processes: BTreeMap<ProcessId, Process>,
    next: u16,
    /// What was asked and not answered yet.
    queries: VecDeque<Query>,
    /// How often it was told of its network without an answer.
    networks: u32,
    outbox: Vec<u8>,
}

impl Default for Session {
    fn default() -> Self {
        Session::new()
    }
}

impl Session {
    /// A conversation that the guest has to begin.
    pub fn new() -> Session {
        let (processes, queries) = (BTreeMap::new(), VecDeque::new());
        let outbox = Vec::new();
        Session { guest: Guest::Booting, processes, next: 0, queries, networks: 0, outbox }
    }

    /// How far the greeting is.
    pub fn guest(&self) -> Guest {
        self.guest
    }

    /// Encoded frames to send; the caller takes away what it has sent.
    pub fn outbox(&mut self) -> &mut Vec<u8> {
        &mut self.outbox
    }

    /// Answers a hello. Processes may be started from here on: the guest works
    /// in order, so there is no need to wait for its answer.
    pub fn configure(&mut self, configure: Configure) -> Result<(), Error> {
        self.guest = Guest::Configuring;
        self.tell(&ToGuest::Configure(Box::new(configure)))
    }

    /// Tells the guest what its network is to be. It answers.
    pub fn network(&mut self, network: vxn_proto::Network) -> Result<(), Error> {
        self.networks += 1;
        self.tell(&ToGuest::Network(network))
    }

    /// Tells the guest what of this host its container has.
    pub fn shares(&mut self, shares: Vec<vxn_proto::Share>) -> Result<(), Error> {
        self.tell(&ToGuest::Shares(shares))
    }

    /// Asks about the container. The guest answers in order.
    pub fn query(&mut self, query: Query) -> Result<(), Error> {
        self.queries.push_back(query);
        self.tell(&ToGuest::Query(query))
    }

    /// Starts a process.
    ///
    /// # Errors
    /// [`Error::TooLong`] when arguments and environment exceed a message,
    /// [`Error::TooMany`].
    pub fn start(&mut self, spec: ProcessSpec) -> Result<ProcessId, Error> {
        let (stdin, stderr) = (spec.stdin, spec.tty.is_none());
        self.begin(stdin, stderr, |process| ToGuest::Start { process, spec })
    }

    /// Has the guest work on the container's files: from there on a process like any
    /// other.
    ///
    /// # Errors
    /// As [`Session::start`].
    pub fn work_on_files(&mut self, request: FileRequest) -> Result<ProcessId, Error> {
        let stdin = request.takes_input();
        self.begin(stdin, true, |process| ToGuest::Files { process, request })
    }

    fn begin(
        &mut self,
        stdin: bool,
        stderr: bool,
        start: impl FnOnce(ProcessId) -> ToGuest,
    ) -> Result<ProcessId, Error> {
        let process = self.free_id().ok_or(Error::TooMany)?;
        let state = Process {
            running: true,
            stdin: stdin.then(SendWindow::new),
            stdout: Some(ReceiveWindow::new()),
            stderr: stderr.then(ReceiveWindow::new),
        };
        vxn_proto::encode_message(&start(process), &mut self.outbox).map_err(Error::TooLong)?;
        self.next = process.0.wrapping_add(1);
        self.processes.insert(process, state);
        Ok(process)
    }

    /// A number that no process has, the one after the last first.
    fn free_id(&self) -> Option<ProcessId> {
        let mut ids = (0..=u16::MAX).map(|n| ProcessId(self.next.wrapping_add(n)));
        ids.find(|id| !self.processes.contains_key(id))
    }

    /// Sends a signal to a process; without effect once it has exited.
    pub fn signal(&mut self, process: ProcessId, signal: u8) -> Result<(), Error> {
        self.tell(&ToGuest::Signal { process, signal })
    }

    /// Sets the size of a process's terminal.
    pub fn resize(&mut self, process: ProcessId, size: WindowSize) -> Result<(), Error> {
        self.tell(&ToGuest::Resize { process, size })
    }

    /// Bytes of stdin that `process` takes now; `None` when its stdin is closed.
    pub fn stdin_room(&self, process: ProcessId) -> Option<usize> {
        self.processes.get(&process)?.stdin.as_ref().map(SendWindow::available)
    }

    /// Sends stdin as far as the window goes; returns how many bytes were taken.
    pub fn send_stdin(&mut self, process: ProcessId, bytes: &[u8]) -> usize {
        let state = self.processes.get_mut(&process);
        let Some(window) = state.and_then(|p| p.stdin.as_mut()) else { return bytes.len() };
        let taken = window.take(bytes.len());
        vxn_proto::encode_data(StreamId::stdin(process), &bytes[..taken], &mut self.outbox);
        taken
    }

    /// Ends a process's stdin.
    pub fn close_stdin(&mut self, process: ProcessId) {
        if self.processes.get_mut(&process).is_some_and(|p| p.stdin.take().is_some()) {
            vxn_proto::encode_eof(StreamId::stdin(process), &mut self.outbox);
        }
    }

    /// Says that nobody will read this output any more: the process gets what
    /// a broken pipe gives it.
    pub fn hang_up(&mut self, stream: StreamId) -> Result<(), Error> {
        self.tell(&ToGuest::HangUp { stream })
    }

    /// Has the guest kill what runs, write back what it holds, and power off.
    pub fn power_off(&mut self) -> Result<(), Error> {
        self.tell(&ToGuest::PowerOff)
    }

    /// Says that `bytes` of output have been handed on, which lets the guest
    /// send more.
    pub fn consumed(&mut self, stream: StreamId, bytes: usize) -> Result<(), Error> {
        let state = self.processes.get_mut(&stream.process);
        let window = state.and_then(|p| p.output(stream.kind).as_mut());
        match window.and_then(|w| w.consumed(bytes)) {
            Some(bytes) => self.tell(&ToGuest::Window { stream, bytes }),
            None => Ok(()),
        }
    }

    /// Takes in a frame.
    pub fn receive(&mut self, frame: Frame<ToHost>) -> Result<Option<Event>, Error> {
        match frame {
            Frame::Message(message) => self.message(message),
            Frame::Data { stream, body } => {
                let window = self.open_output(stream)?.as_mut();
                window.ok_or(Error::OutOfTurn("output"))?.received(body.len())?;
                Ok(Some(Event::Output { stream, bytes: body }))
            }
            Frame::Eof { stream } => {
                let window = self.open_output(stream)?.take();
                window.ok_or(Error::OutOfTurn("end of output"))?;
                self.forget(stream.process);
                Ok(Some(Event::OutputEnd(stream)))
            }
        }
    }

    fn open_output(&mut self, stream: StreamId) -> Result<&mut Option<ReceiveWindow>, Error> {
        let state = self.processes.get_mut(&stream.process);
        Ok(state.ok_or(Error::OutOfTurn("output"))?.output(stream.kind))
    }

    fn message(&mut self, message: ToHost) -> Result<Option<Event>, Error> {
        match message {
            ToHost::Hello { min, max, kernel } => self.hello(min, max, &kernel).map(Some),
            ToHost::Configured => {
                self.advance(Guest::Configuring, Guest::Ready, "Configured")?;
                Ok(None)
            }
            ToHost::Started { process, .. } => {
                self.running(process, "Started")?;
                Ok(Some(Event::Started(process)))
            }
            ToHost::StartFailed { process, reason, message } => {
                self.running(process, "StartFailed")?;
                self.processes.remove(&process);
                Ok(Some(Event::StartFailed { process, reason, message }))
            }
            ToHost::Exited { process, status, oom_killed } => {
                self.running(process, "Exited")?.running = false;
                self.forget(process);
                Ok(Some(Event::Exited { process, status, oom_killed }))
            }
            ToHost::Window { stream, bytes } => {
                // Credit for a stdin that was closed meanwhile means nothing any more.
                let state = self.processes.get_mut(&stream.process);
                if let Some(window) = state.and_then(|p| p.stdin.as_mut()) {
                    window.credit(bytes)?;
                }
                Ok(None)
            }
            ToHost::Failed { message } => Ok(Some(Event::Failed(message))),
            ToHost::Answer(answer) => {
                let asked = self.queries.pop_front().filter(|&query| answer.answers(query));
                asked.ok_or(Error::OutOfTurn("Answer"))?;
                Ok(Some(Event::Answer(answer)))
            }
            ToHost::Networked { error } => {
                self.networks =
                    self.networks.checked_sub(1).ok_or(Error::OutOfTurn("Networked"))?;
                Ok(Some(Event::Networked(error)))
            }
        }
    }

    /// A process that has ended, with all of its output, is no more.
    fn forget(&mut self, process: ProcessId) {
        let ended = |p: &Process| !p.running && p.stdout.is_none() && p.stderr.is_none();
        if self.processes.get(&process).is_some_and(ended) {
            self.processes.remove(&process);
        }
    }

    fn hello(&mut self, min: u32, max: u32, kernel: &str) -> Result<Event, Error> {
        self.advance(Guest::Booting, Guest::Greeted, "Hello")?;
        tracing::debug!(kernel, "the guest says hello");
        Ok(Event::Hello { version: vxn_proto::negotiate(min, max)? })
    }

    fn advance(&mut self, from: Guest, to: Guest, what: &'static str) -> Result<(), Error> {
        if self.guest != from {
            return Err(Error::OutOfTurn(what));
        }
        self.guest = to;
        Ok(())
    }

    fn running(&mut self, id: ProcessId, what: &'static str) -> Result<&mut Process, Error> {
        let process = self.processes.get_mut(&id).filter(|p| p.running);
        process.ok_or(Error::OutOfTurn(what))
    }

    fn tell(&mut self, message: &ToGuest) -> Result<(), Error> {
        Ok(vxn_proto::encode_message(message, &mut self.outbox)?)
    }
}

#[cfg(test)]
mod tests;
