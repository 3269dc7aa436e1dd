//! A command that stays with a container: it passes signals on, carries streams
//! if it has to, and waits for the end.

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
        let own = |fd: BorrowedFd<'_>| fd.try_clone_to_owned();
        let stdin = stdin.then(|| own(io::stdin().as_fd())).transpose()?;
        let outputs = [own(io::stdout().as_fd())?, own(io::stderr().as_fd())?];
        Streams::over(stdin, outputs, keys)
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
}

impl Talk {
    /// A talk over `connection`, on which the wish was told already.
    pub fn new(
        connection: Connection,
        signals: SignalFd,
        streams: Option<Streams>,
        until: Until,
    ) -> Talk {
        Talk { connection, signals, streams, until, report: None, told: None }
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

fn index(kind: StreamKind) -> usize {
    usize::from(kind == StreamKind::Stderr)
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;
    use std::thread;

    use nix::unistd::pipe;
    use vxn_proto::{Decoder, StreamId};

    use super::super::control::STREAMS;
    use super::super::monitor::signal_fd;
    use super::*;

    /// A monitor whose process is `cat`. Returns the client's other messages.
    fn cat(mut link: UnixStream) -> Vec<ToMonitor> {
        let mut decoder = Decoder::<ToMonitor>::new();
        let (mut window, mut said) = (ReceiveWindow::new(), Vec::new());
        let mut buffer = vec![0; 65536];
        loop {
            // Reset when the client has gone with something unread.
            let length = link.read(&mut buffer).unwrap_or(0);
            if length == 0 {
                return said;
            }
            let (mut input, mut answer) = (&buffer[..length], Vec::new());
            while let Some(frame) = decoder.decode(&mut input).unwrap() {
                match frame {
                    Frame::Data { body, .. } => {
                        window.received(body.len()).unwrap();
                        vxn_proto::encode_data(StreamId::stdout(STREAMS), &body, &mut answer);
                    }
                    // What it writes is what it reads: one window is for both.
                    Frame::Message(ToMonitor::Window { bytes, .. }) => {
                        if let Some(bytes) = window.consumed(bytes as usize) {
                            let credit = ToClient::Window { bytes };
                            vxn_proto::encode_message(&credit, &mut answer).unwrap();
                        }
                    }
                    Frame::Eof { .. } => {
                        vxn_proto::encode_data(StreamId::stderr(STREAMS), b"end", &mut answer);
                        let ended = ToClient::Ended(Report::exited(7));
                        vxn_proto::encode_message(&ended, &mut answer).unwrap();
                    }
                    Frame::Message(message) => said.push(message),
                }
            }
            // The client may have gone with what it wanted.
            let _ = link.write_all(&answer);
        }
    }

    /// Talks to `cat` with `input` on stdin, whose end comes unless keys leave.
    fn talk(
        input: Vec<u8>,
        keys: Option<DetachKeys>,
    ) -> (Outcome, Vec<u8>, Vec<u8>, Vec<ToMonitor>) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let monitor = thread::spawn(move || cat(theirs));
        let (read, write) = pipe().unwrap();
        let typist = thread::spawn(move || File::from(write).write_all(&input).unwrap());
        let reader = || {
            let (read, write) = pipe().unwrap();
            let mut text = Vec::new();
            (write, thread::spawn(move || File::from(read).read_to_end(&mut text).map(|_| text)))
        };
        let ((out, out_reader), (err, err_reader)) = (reader(), reader());
        let streams = Streams::over(Some(read), [out, err], keys).unwrap();
        let signals = signal_fd(&[]).unwrap();
        let connection = Connection::over(ours);
        let outcome = Talk::new(connection, signals, Some(streams), Until::Ended).run().unwrap();
        typist.join().unwrap();
        let text =
            |reader: thread::JoinHandle<io::Result<Vec<u8>>>| reader.join().unwrap().unwrap();
        (outcome, text(out_reader), text(err_reader), monitor.join().unwrap())
    }

    #[test]
    fn streams_come_whole_and_so_does_the_end() {
        let input: Vec<u8> = (0..2_000_000_u32).map(|n| (n ^ (n >> 8)) as u8).collect();
        let (outcome, out, err, said) = talk(input.clone(), None);
        assert!(matches!(outcome, Outcome::Ended(report) if report.code == 7));
        assert!(out == input, "{} bytes came back", out.len());
        assert_eq!((err, said), (b"end".to_vec(), vec![]));
    }

    #[test]
    fn keys_leave_without_ending_anything() {
        let (outcome, _, _, said) = talk(b"abc\x10\x11".to_vec(), Some(DetachKeys::default()));
        assert!(matches!(outcome, Outcome::Left));
        assert_eq!(said, [ToMonitor::Leave]);
    }

    #[test]
    fn a_monitor_that_is_gone_is_noticed() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        drop(theirs);
        let signals = signal_fd(&[]).unwrap();
        let talk = Talk::new(Connection::over(ours), signals, None, Until::Started);
        assert!(matches!(talk.run(), Err(Error::Lost)));
    }
}
