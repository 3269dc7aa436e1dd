//! A command that stays with a container: it passes signals on, carries streams
//! if it has to, and waits for the end.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;
use nix::sys::signalfd::SignalFd;
use vxn_proto::{Frame, ReceiveWindow, SendWindow, StreamKind};

use super::control::{Connection, Error, ToClient, ToMonitor};
use super::keys::DetachKeys;
use super::report::Report;
use super::streams::{Input, Mailbox, Output, Progress};
use super::terminal;

/// How a talk ended.
#[derive(Debug)]
pub enum Outcome {
    /// What was waited for is over.
    Ended(Report),
    /// The user has left; the container goes on.
    Left,
}

/// What to wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// The process runs.
    Started,
    /// The process has ended.
    Ended,
}

/// The streams that a command carries.
#[derive(Debug)]
pub struct Streams {
    mailbox: Mailbox,
    input: Option<Input>,
    keys: Option<DetachKeys>,
    window: SendWindow,
    outputs: [Outgoing; 2],
}

#[derive(Debug)]
struct Outgoing {
    output: Output,
    window: ReceiveWindow,
    finished: bool,
}

impl Streams {
    /// This process's own. With `keys`, stdin is a terminal's and may be left.
    pub fn open(stdin: bool, keys: Option<DetachKeys>) -> io::Result<Streams> {
        let mailbox = Mailbox::new()?;
        let outgoing = |fd: BorrowedFd<'_>, tag| -> io::Result<Outgoing> {
            let output = Output::spawn(fd.try_clone_to_owned()?, tag, &mailbox)?;
            Ok(Outgoing { output, window: ReceiveWindow::new(), finished: false })
        };
        let outputs = [outgoing(io::stdout().as_fd(), 0)?, outgoing(io::stderr().as_fd(), 1)?];
        let input = if stdin {
            Some(Input::spawn(io::stdin().as_fd().try_clone_to_owned()?, &mailbox)?)
        } else {
            None
        };
        Ok(Streams { mailbox, input, keys, window: SendWindow::new(), outputs })
    }

    fn is_over(&self) -> bool {
        self.outputs.iter().all(|outgoing| outgoing.finished)
    }
}

/// A talk with a monitor.
#[derive(Debug)]
pub struct Talk {
    connection: Connection,
    signals: SignalFd,
    streams: Option<Streams>,
    until: Until,
    report: Option<Report>,
}

impl Talk {
    /// A talk over `connection`, on which the wish was told already.
    pub fn new(
        connection: Connection,
        signals: SignalFd,
        streams: Option<Streams>,
        until: Until,
    ) -> Talk {
        Talk { connection, signals, streams, until, report: None }
    }

    /// Talks until the end.
    pub fn run(mut self) -> Result<Outcome, Error> {
        loop {
            if self.feed()? {
                self.connection.send(&ToMonitor::Leave)?;
                return Ok(Outcome::Left);
            }
            let over = self.streams.as_ref().is_none_or(Streams::is_over);
            if let Some(report) = self.report.take_if(|_| over) {
                return Ok(Outcome::Ended(report));
            }
            let [link, signals] = self.wait()?;
            if signals {
                self.pass_signals_on()?;
            }
            if link && self.listen()? {
                self.connection.send(&ToMonitor::Leave)?;
                return Ok(Outcome::Left);
            }
            self.deliver()?;
        }
    }

    fn wait(&self) -> Result<[bool; 2], Error> {
        let entry = |fd| PollFd::new(fd, PollFlags::POLLIN);
        let mut fds = vec![entry(self.signals.as_fd())];
        // After its last words the monitor hangs up.
        if self.report.is_none() {
            fds.push(entry(self.connection.as_fd()));
        }
        fds.extend(self.streams.as_ref().map(|streams| entry(streams.mailbox.as_fd())));
        match poll(&mut fds, PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(e) => return Err(io::Error::from(e).into()),
        }
        let ready = |n: usize| fds[n].any().unwrap_or(false);
        Ok([self.report.is_none() && ready(1), ready(0)])
    }

    fn pass_signals_on(&mut self) -> Result<(), Error> {
        while let Some(info) = self.signals.read_signal().map_err(io::Error::from)? {
            let message = if info.ssi_signo as i32 == Signal::SIGWINCH as i32 {
                terminal::size().map(ToMonitor::Resize)
            } else {
                Some(ToMonitor::Signal { signal: info.ssi_signo as u8 })
            };
            if let Some(message) = message {
                self.connection.send(&message)?;
            }
        }
        Ok(())
    }

    /// Sends stdin as far as the window goes. Returns whether the user has left.
    fn feed(&mut self) -> Result<bool, Error> {
        let Some(streams) = &mut self.streams else { return Ok(false) };
        let Some(input) = &mut streams.input else { return Ok(false) };
        loop {
            let bytes = input.peek();
            let taken = streams.window.take(bytes.len());
            if taken == 0 {
                break;
            }
            let (bytes, left) = match &mut streams.keys {
                Some(keys) => keys.scan(&bytes[..taken]),
                None => (bytes[..taken].to_vec(), false),
            };
            input.consume(taken);
            // What the detach keys hold back comes a little later, or never.
            streams.window.give_back(taken.saturating_sub(bytes.len()));
            self.connection.send_stdin(&bytes)?;
            if left {
                return Ok(true);
            }
        }
        if input.ended() {
            self.connection.end_stdin()?;
            streams.input = None;
        }
        Ok(false)
    }

    /// Takes what the monitor has sent. Returns whether that was all to wait for.
    fn listen(&mut self) -> Result<bool, Error> {
        for frame in self.connection.receive()? {
            match (frame, &mut self.streams) {
                (Frame::Data { stream, body }, Some(streams)) => {
                    let outgoing = &mut streams.outputs[index(stream.kind)];
                    outgoing.window.received(body.len()).map_err(|_| Error::Protocol)?;
                    outgoing.output.write(body);
                }
                (Frame::Eof { stream }, Some(streams)) => {
                    streams.outputs[index(stream.kind)].output.finish();
                }
                (Frame::Message(ToClient::Window { bytes }), Some(streams)) => {
                    streams.window.credit(bytes).map_err(|_| Error::Protocol)?;
                }
                (Frame::Message(ToClient::Refused { message }), _) => {
                    return Err(Error::Refused(message));
                }
                (Frame::Message(ToClient::Started), _) if self.until == Until::Started => {
                    return Ok(true);
                }
                (Frame::Message(ToClient::Ended(report)), streams) => {
                    // Whatever did not come by now does not come any more.
                    if let Some(streams) = streams {
                        streams.outputs.iter_mut().for_each(|o| o.output.finish());
                    }
                    self.report = Some(report);
                    return Ok(false);
                }
                _ => {}
            }
        }
        Ok(false)
    }

    /// Gives credit for what was written.
    fn deliver(&mut self) -> Result<(), Error> {
        let Some(streams) = &mut self.streams else { return Ok(()) };
        for progress in streams.mailbox.take() {
            match progress {
                Progress::Written { tag, bytes } => {
                    if let Some(bytes) = streams.outputs[tag].window.consumed(bytes) {
                        self.connection.send(&ToMonitor::Window { error: tag == 1, bytes })?;
                    }
                }
                Progress::Broken { tag, .. } => {
                    self.connection.send(&ToMonitor::HangUp { error: tag == 1 })?;
                }
                Progress::Finished { tag } => streams.outputs[tag].finished = true,
            }
        }
        Ok(())
    }
}

fn index(kind: StreamKind) -> usize {
    usize::from(kind == StreamKind::Stderr)
}
