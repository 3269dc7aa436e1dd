//! The files of a container, reached through its guest: that of the container itself
//! when it runs, else a helper, a DomU over the same disks that starts no process.
//!
//! What comes from a guest is hostile: what it says of itself is bounded here, the
//! archives that it sends by whoever unpacks them.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::process::Child;

use vxn_proto::{FileRequest, Frame, ReceiveWindow, SendWindow, StreamKind};

use super::control::{self, Connection, ToClient, ToMonitor};
use super::cpu::Cpu;
use super::definition::Definition;
use super::front;
use super::network::NetworkSpec;
use super::order::{Attach, Order};
use super::plan::Plan;
use super::report::Report;

/// Memory of a helper in KiB, unless the container has less. It holds no process, and
/// copies through a few buffers.
const HELPER_MEMORY: u64 = 192 * 1024;

/// Most bytes that are kept of why the guest failed.
const MAX_WORDS: usize = 4096;

/// Most bytes behind the end of an archive: what fills its last record.
const MAX_PADDING: u64 = 1 << 20;

/// Why nothing was done with a container's files, or not all.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Its monitor says no, or cannot be talked to.
    #[error(transparent)]
    Control(#[from] control::Error),
    /// The guest could not do it.
    #[error("{0}")]
    Guest(String),
    /// The container has ended before it was done.
    #[error("the container ended meanwhile")]
    Ended,
    /// The helper did not start, or did not end well.
    #[error("{}", .0.error.as_deref().unwrap_or("the helper DomU ended early"))]
    Helper(Report),
    /// On this side of the channel.
    #[error(transparent)]
    Here(#[from] vxn_files::Error),
    /// The system.
    #[error("cannot start a helper DomU: {0}")]
    Io(#[from] io::Error),
}

/// What a helper of a container is made after. `mounts`: it needs what the container
/// has of this host.
pub fn helper(mut plan: Plan, mounts: bool) -> Plan {
    let Definition { memory_kib, .. } = plan.definition;
    let own = plan.definition;
    plan.definition = Definition {
        network: NetworkSpec::default(),
        memory_kib: memory_kib.min(HELPER_MEMORY),
        vcpus: 1,
        cpu: Cpu::default(),
        timeout: None,
        mounts: if mounts { own.mounts } else { Vec::new() },
        // Nothing of the container's files is there, and another one may use them.
        devices: Vec::new(),
        ..own
    };
    plan.helper = true;
    plan
}

/// A container whose files can be reached.
#[derive(Debug)]
pub struct Files {
    connection: Connection,
    helper: Option<Child>,
    /// For what is sent; it outlives a request, as the monitor's end does.
    window: SendWindow,
}

impl Files {
    /// Those of a container that runs.
    pub fn of(connection: Connection) -> Files {
        Files { connection, helper: None, window: SendWindow::new() }
    }

    /// Those of one that does not, through the helper `plan`.
    ///
    /// # Errors
    /// [`Error::Helper`], also when somebody else has the container.
    pub fn of_helper(plan: Plan) -> Result<Files, Error> {
        let order = Order { plan, create: false, attach: Attach::Detached };
        let (monitor, connection) = front::helper(&order)?;
        Ok(Files { connection, helper: Some(monitor), window: SendWindow::new() })
    }

    /// Has the guest do something of which something comes, which `take` reads.
    ///
    /// # Errors
    /// [`Error`]; what was read until then may be incomplete.
    pub fn fetch<T>(
        &mut self,
        request: FileRequest,
        take: impl FnOnce(&mut dyn Read) -> vxn_files::Result<T>,
    ) -> Result<T, Error> {
        let mut work = Work::begin(self, request)?;
        let taken = take(&mut work);
        let drained = taken.and_then(|taken| {
            let rest = io::copy(&mut (&mut work).take(MAX_PADDING), &mut io::sink())?;
            if rest == MAX_PADDING {
                return Err(io::Error::other("it does not end").into());
            }
            Ok(taken)
        });
        match work.failure.take() {
            Some(failure) => Err(failure),
            None => Ok(drained?),
        }
    }

    /// Has the guest do something with what `give` writes.
    ///
    /// # Errors
    /// [`Error`]; some of it may have been done.
    pub fn send(
        &mut self,
        request: FileRequest,
        give: impl FnOnce(&mut dyn Write) -> vxn_files::Result<()>,
    ) -> Result<(), Error> {
        let mut work = Work::begin(self, request)?;
        let given = give(&mut work).and_then(|()| Ok(work.finish()?));
        match work.failure.take() {
            Some(failure) => Err(failure),
            None => Ok(given?),
        }
    }

    /// Lets go of the container. A helper has written everything to the container's disk
    /// and is gone when this returns.
    ///
    /// # Errors
    /// [`Error::Helper`] when it did not end well.
    pub fn close(self) -> Result<(), Error> {
        let Files { mut connection, helper, .. } = self;
        let Some(mut monitor) = helper else { return Ok(()) };
        connection.send(&ToMonitor::Stop { signal: None, seconds: None })?;
        let ended = loop {
            let frames = match connection.receive() {
                Ok(frames) => frames,
                Err(e) => break Err(e.into()),
            };
            let report = frames.into_iter().find_map(|frame| match frame {
                Frame::Message(ToClient::Ended(report)) => Some(report),
                _ => None,
            });
            match report {
                None => {}
                Some(report) if report.error.is_none() => break Ok(()),
                Some(report) => break Err(Error::Helper(report)),
            }
        };
        monitor.wait()?;
        ended
    }
}

/// A request that the guest works on.
struct Work<'a> {
    files: &'a mut Files,
    windows: [ReceiveWindow; 2],
    /// What has come; the window bounds it.
    arrived: VecDeque<u8>,
    words: Vec<u8>,
    done: bool,
    failure: Option<Error>,
}

impl<'a> Work<'a> {
    fn begin(files: &'a mut Files, request: FileRequest) -> Result<Work<'a>, Error> {
        files.connection.send(&ToMonitor::Files(request))?;
        let windows = [ReceiveWindow::new(), ReceiveWindow::new()];
        let (arrived, words) = (VecDeque::new(), Vec::new());
        Ok(Work { files, windows, arrived, words, done: false, failure: None })
    }

    /// Waits for something, and takes it in. After a failure it fails again.
    fn listen(&mut self) -> io::Result<()> {
        let heard = match self.failure {
            Some(_) => Ok(()),
            None => self.hear(),
        };
        if let Err(failure) = heard {
            self.failure = Some(failure);
        }
        match &self.failure {
            Some(failure) => Err(io::Error::other(failure.to_string())),
            None => Ok(()),
        }
    }

    fn hear(&mut self) -> Result<(), Error> {
        for frame in self.files.connection.receive()? {
            match frame {
                Frame::Data { stream, body } => self.data(stream.kind, &body)?,
                Frame::Eof { .. } | Frame::Message(ToClient::Started) => {}
                Frame::Message(ToClient::Window { bytes }) => {
                    let credit = self.files.window.credit(bytes);
                    credit.map_err(|_| control::Error::Protocol)?;
                }
                Frame::Message(ToClient::Done) => self.done = true,
                Frame::Message(ToClient::Answer(_)) => return Err(control::Error::Protocol.into()),
                Frame::Message(ToClient::Refused { message }) => {
                    let words = String::from_utf8_lossy(&self.words).trim().to_owned();
                    return Err(Error::Guest(if words.is_empty() { message } else { words }));
                }
                Frame::Message(ToClient::Ended(report)) => {
                    let helper = self.files.helper.is_some();
                    return Err(if helper { Error::Helper(report) } else { Error::Ended });
                }
            }
        }
        Ok(())
    }

    fn data(&mut self, kind: StreamKind, body: &[u8]) -> Result<(), Error> {
        let error = kind == StreamKind::Stderr;
        let window = &mut self.windows[usize::from(error)];
        window.received(body.len()).map_err(|_| control::Error::Protocol)?;
        if !error {
            self.arrived.extend(body);
            return Ok(());
        }
        let room = MAX_WORDS.saturating_sub(self.words.len());
        self.words.extend(&body[..room.min(body.len())]);
        self.taken(true, body.len())
    }

    /// Lets the guest send as much again.
    fn taken(&mut self, error: bool, bytes: usize) -> Result<(), Error> {
        if let Some(bytes) = self.windows[usize::from(error)].consumed(bytes) {
            self.files.connection.send(&ToMonitor::Window { error, bytes })?;
        }
        Ok(())
    }

    /// Says that there is no more, and waits for the end.
    fn finish(&mut self) -> io::Result<()> {
        self.files.connection.end_stdin().map_err(io::Error::other)?;
        while !self.done {
            self.listen()?;
        }
        Ok(())
    }
}

impl Read for Work<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.arrived.is_empty() && !self.done {
            self.listen()?;
        }
        let count = self.arrived.read(buffer)?;
        self.taken(false, count).map_err(io::Error::other)?;
        Ok(count)
    }
}

impl Write for Work<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        while self.files.window.available() == 0 {
            self.listen()?;
        }
        let count = self.files.window.take(bytes.len());
        self.files.connection.send_stdin(&bytes[..count]).map_err(io::Error::other)?;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::net::Shutdown;
    use std::os::unix::net::UnixStream;
    use std::thread;

    use vxn_proto::{Decoder, StreamId, encode_data, encode_eof, encode_message};

    use super::super::control::STREAMS;
    use super::*;

    /// A request that is answered with `answers`, all at once; returns what was sent for
    /// it too.
    fn asked<T>(
        answers: Vec<u8>,
        ask: impl FnOnce(&mut Files) -> Result<T, Error>,
    ) -> (Result<T, Error>, Vec<u8>) {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let monitor = thread::spawn(move || {
            // The client may go before it has it all.
            let _ = theirs.write_all(&answers);
            let _ = theirs.shutdown(Shutdown::Write);
            let (mut bytes, mut sent) = (Vec::new(), Vec::new());
            let _ = theirs.read_to_end(&mut bytes);
            let (mut decoder, mut input) = (Decoder::<ToMonitor>::new(), &*bytes);
            while let Some(frame) = decoder.decode(&mut input).unwrap() {
                if let Frame::Data { body, .. } = frame {
                    sent.extend(body);
                }
            }
            sent
        });
        let mut files = Files::of(Connection::over(ours));
        let asked = ask(&mut files);
        drop(files);
        (asked, monitor.join().unwrap())
    }

    fn frames(stdout: &[u8], stderr: &[u8], last: &ToClient) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (stream, data) in
            [(StreamId::stdout(STREAMS), stdout), (StreamId::stderr(STREAMS), stderr)]
        {
            data.chunks(50_000).for_each(|chunk| encode_data(stream, chunk, &mut bytes));
            encode_eof(stream, &mut bytes);
        }
        encode_message(last, &mut bytes).unwrap();
        bytes
    }

    fn fetch(answers: Vec<u8>) -> Result<Vec<u8>, Error> {
        let read = |files: &mut Files| {
            files.fetch(FileRequest::Changes, |from| {
                let mut bytes = Vec::new();
                from.read_to_end(&mut bytes)?;
                Ok(bytes)
            })
        };
        asked(answers, read).0
    }

    #[test]
    fn only_what_is_said_to_be_done_is_done() {
        assert_eq!(fetch(frames(b"all", b"", &ToClient::Done)).unwrap(), b"all");
        let refused = ToClient::Refused { message: "code 1".into() };
        let words = |stderr: &[u8]| fetch(frames(b"a", stderr, &refused)).unwrap_err().to_string();
        assert_eq!(words(b"no such\n"), "no such");
        assert_eq!(words(b""), "code 1");
        assert_eq!(words(&[b'x'; 9000]).len(), MAX_WORDS);
        // The container's own end, with code 0, comes in the middle of it.
        let ended = fetch(frames(b"half", b"", &ToClient::Ended(Report::exited(0))));
        assert!(matches!(ended, Err(Error::Ended)));
        assert!(matches!(fetch(Vec::new()), Err(Error::Control(_))), "nobody is there");
    }

    #[test]
    fn what_comes_behind_an_archive_ends() {
        let flood = frames(&vec![0; 2 * MAX_PADDING as usize], b"", &ToClient::Done);
        let error = asked(flood, |files| files.fetch(FileRequest::Export, |_| Ok(()))).0;
        assert!(error.unwrap_err().to_string().contains("does not end"));
        // Whoever could not take it all says why, however much is left.
        let flood = frames(&vec![0; 2 * MAX_PADDING as usize], b"", &ToClient::Done);
        let full = |_: &mut dyn Read| -> vxn_files::Result<()> {
            Err(vxn_files::Error::taker(io::Error::other("the disk is full")))
        };
        let error = asked(flood, |files| files.fetch(FileRequest::Export, full)).0;
        assert_eq!(error.unwrap_err().to_string(), "the disk is full");
    }

    #[test]
    fn what_is_sent_arrives() {
        let request = FileRequest::Unpack { path: b"/".to_vec(), any: true, keep_owners: true };
        let send = |files: &mut Files| files.send(request, |to| Ok(to.write_all(&[7; 100_000])?));
        let (done, sent) = asked(frames(b"", b"", &ToClient::Done), send);
        done.unwrap();
        assert_eq!(sent, [7; 100_000]);
    }
}
