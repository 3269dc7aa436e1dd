//! A command that stays with a container: it passes signals on, carries streams
//! if it has to, and waits for the end.

use std::fs::OpenOptions;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;
use nix::sys::signalfd::SignalFd;
use vxn_proto::{Frame, ReceiveWindow, SendWindow, StreamKind};

use super::control::{Connection, Error, ToClient, ToMonitor};
use super::keys::DetachKeys;
use super::report::{self, Report};
use super::streams::{Input, Mailbox, Output, Progress};
use super::terminal;

/// How a talk ended.
#[derive(Debug)]
pub enum Outcome {
    /// What was waited for is over.
    Ended(Report),
    /// The user has left; the container goes on.
    Left,
    /// This signal has ended the talk; the container goes on.
    Interrupted(u8),
}

/// Which outputs of a process are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outputs {
    /// Its stdout.
    pub stdout: bool,
    /// Its stderr.
    pub stderr: bool,
}

impl Outputs {
    /// Both.
    pub const BOTH: Outputs = Outputs { stdout: true, stderr: true };
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
    /// This process's own, but for the outputs that are not to be shown. With `keys`,
    /// stdin is a terminal's and may be left.
    pub fn open(stdin: bool, shown: Outputs, keys: Option<DetachKeys>) -> io::Result<Streams> {
        let own = |fd: BorrowedFd<'_>| fd.try_clone_to_owned();
        let output = |shown, fd| if shown { own(fd) } else { nowhere() };
        let stdin = stdin.then(|| own(io::stdin().as_fd())).transpose()?;
        let (out, err) = (io::stdout(), io::stderr());
        let stdout = output(shown.stdout, out.as_fd())?;
        let stderr = output(shown.stderr, err.as_fd())?;
        Streams::over(stdin, [stdout, stderr], keys)
    }

    fn over(
        stdin: Option<OwnedFd>,
        outputs: [OwnedFd; 2],
        keys: Option<DetachKeys>,
    ) -> io::Result<Streams> {
        let mailbox = Mailbox::new()?;
        let [stdout, stderr] = outputs;
        let outgoing = |fd, tag| -> io::Result<Outgoing> {
            let output = Output::spawn(fd, tag, &mailbox)?;
            Ok(Outgoing { output, window: ReceiveWindow::new(), finished: false })
        };
        let outputs = [outgoing(stdout, 0)?, outgoing(stderr, 1)?];
        let input = stdin.map(|fd| Input::spawn(fd, &mailbox)).transpose()?;
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
    /// Who is told that the process runs.
    told: Option<UnixStream>,
    /// A signal is the process's; else it ends the talk.
    passes_signals: bool,
}

impl Talk {
    /// A talk over `connection`, on which the wish was told already.
    pub fn new(
        connection: Connection,
        signals: SignalFd,
        streams: Option<Streams>,
        until: Until,
    ) -> Talk {
        Talk { connection, signals, streams, until, report: None, told: None, passes_signals: true }
    }

    /// With `passes` signals are the process's; without it they end the talk.
    pub fn passing_signals(self, passes: bool) -> Talk {
        Talk { passes_signals: passes, ..self }
    }

    /// Tells `link` when the process runs, by a report that is none.
    pub fn telling(self, link: UnixStream) -> Talk {
        Talk { told: Some(link), ..self }
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
            if let Some(signal) = if signals { self.take_signals()? } else { None } {
                self.connection.send(&ToMonitor::Leave)?;
                return Ok(Outcome::Interrupted(signal));
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

    /// Passes signals on. Returns the one that ends the talk, if one does.
    fn take_signals(&mut self) -> Result<Option<u8>, Error> {
        while let Some(info) = self.signals.read_signal().map_err(io::Error::from)? {
            let signal = info.ssi_signo as u8;
            let message = if i32::from(signal) == Signal::SIGWINCH as i32 {
                terminal::size().map(ToMonitor::Resize)
            } else if self.passes_signals {
                Some(ToMonitor::Signal { signal })
            } else {
                return Ok(Some(signal));
            };
            if let Some(message) = message {
                self.connection.send(&message)?;
            }
        }
        Ok(None)
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
                (Frame::Message(ToClient::Started), _) => {
                    if let Some(mut link) = self.told.take() {
                        report::send(&mut link, &None::<Report>)?;
                    }
                    if self.until == Until::Started {
                        return Ok(true);
                    }
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

/// Takes whatever is written.
fn nowhere() -> io::Result<OwnedFd> {
    Ok(OpenOptions::new().write(true).open("/dev/null")?.into())
}

fn index(kind: StreamKind) -> usize {
    usize::from(kind == StreamKind::Stderr)
}

#[cfg(test)]
mod tests;
