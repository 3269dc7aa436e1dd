//! The guest's end of the channel: frames over a byte transport.

use std::{
    collections::VecDeque,
    io,
    os::fd::{AsFd, BorrowedFd},
    time::{Duration, Instant},
};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use vxn_proto::{
    Configure, Decoder, Frame, MAX_DATA, MIN_VERSION, StreamId, ToGuest, ToHost, VERSION,
    encode_data, encode_eof, encode_message,
};

use crate::{
    Error, Result,
    error::{Context, try_later},
};

/// How long a last message may wait for Dom0 to make room for it.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Most bytes of an error text on the channel.
const MAX_TEXT: usize = 4096;

/// A byte channel that never blocks.
pub trait Transport: AsFd {
    /// Reads bytes that have arrived; 0 when the peer is gone.
    ///
    /// # Errors
    /// `WouldBlock` when none have arrived.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize>;

    /// Writes as many bytes as there is room for.
    ///
    /// # Errors
    /// `WouldBlock` when there is no room, `BrokenPipe` when the peer is gone.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize>;

    /// Takes note of an event; called when the descriptor is readable.
    ///
    /// # Errors
    /// The kernel's.
    fn acknowledge(&mut self) -> io::Result<()>;

    /// The poll events to wait for, `writing` when bytes are left to write.
    fn interest(&self, writing: bool) -> PollFlags;
}

/// What is to be sent. Stream windows bound it: at most one window of each
/// stream waits here, and a few messages.
#[derive(Debug)]
pub struct Outbox {
    bytes: Vec<u8>,
    /// Bytes at the front that the transport has taken.
    sent: usize,
    scratch: Box<[u8]>,
}

impl Outbox {
    pub(crate) fn new() -> Self {
        Self { bytes: Vec::new(), sent: 0, scratch: vec![0; MAX_DATA].into_boxed_slice() }
    }

    /// Queues a message. Texts in it are kept [`short`], so it fits a frame.
    pub(crate) fn message(&mut self, message: &ToHost) {
        let encoded = encode_message(message, &mut self.bytes);
        debug_assert!(encoded.is_ok(), "{message:?}: {encoded:?}");
    }

    /// Queues the end of a stream.
    pub(crate) fn eof(&mut self, stream: StreamId) {
        encode_eof(stream, &mut self.bytes);
    }

    /// Reads at most `limit` bytes from `fd` and queues them as data of `stream`.
    pub(crate) fn read_from(
        &mut self,
        fd: BorrowedFd<'_>,
        stream: StreamId,
        limit: usize,
    ) -> nix::Result<usize> {
        let limit = limit.min(self.scratch.len());
        let count = nix::unistd::read(fd, &mut self.scratch[..limit])?;
        encode_data(stream, &self.scratch[..count], &mut self.bytes);
        Ok(count)
    }

    fn rest(&self) -> &[u8] {
        &self.bytes[self.sent..]
    }

    fn advance(&mut self, count: usize) {
        self.sent += count;
        if self.sent == self.bytes.len() {
            self.bytes.clear();
            self.sent = 0;
        } else if self.sent >= MAX_DATA {
            self.bytes.drain(..self.sent);
            self.sent = 0;
        }
    }
}

/// Frames to and from the host.
#[derive(Debug)]
pub struct Channel<T> {
    transport: T,
    decoder: Decoder<ToGuest>,
    /// What has arrived and was not asked for yet: at most one read's worth.
    arrived: VecDeque<Frame<ToGuest>>,
    /// What is to be sent.
    pub outbox: Outbox,
    closed: bool,
}

impl<T: Transport> Channel<T> {
    /// A channel over a fresh transport.
    pub fn new(transport: T) -> Self {
        Self {
            transport,
            decoder: Decoder::new(),
            arrived: VecDeque::new(),
            outbox: Outbox::new(),
            closed: false,
        }
    }

    /// Whether the host is gone.
    pub fn closed(&self) -> bool {
        self.closed
    }

    /// The descriptor and the events to poll for.
    pub fn poll_fd(&self) -> PollFd<'_> {
        let writing = !self.outbox.rest().is_empty();
        PollFd::new(self.transport.as_fd(), self.transport.interest(writing))
    }

    /// Takes note of an event, after the descriptor became readable.
    ///
    /// # Errors
    /// The transport's.
    pub fn acknowledge(&mut self) -> Result<()> {
        self.transport.acknowledge().context("wait for the channel")
    }

    /// Sends what fits.
    ///
    /// # Errors
    /// The transport's, except that a host that is gone only closes the channel.
    pub fn flush(&mut self) -> Result<()> {
        while !self.closed && !self.outbox.rest().is_empty() {
            match self.transport.write(self.outbox.rest()) {
                Ok(0) => self.closed = true,
                Ok(count) => self.outbox.advance(count),
                Err(error) if try_later(&error) => return Ok(()),
                Err(error) if gone(&error) => self.closed = true,
                Err(error) => return Err(error).context("write to the channel"),
            }
        }
        Ok(())
    }

    /// The next frame, if one has arrived.
    ///
    /// # Errors
    /// The transport's, and bytes that are no frame.
    pub fn receive(&mut self) -> Result<Option<Frame<ToGuest>>> {
        let mut buffer = [0; 16 * 1024];
        while self.arrived.is_empty() && !self.closed {
            let mut input = match self.transport.read(&mut buffer) {
                Ok(count) => &buffer[..count],
                Err(error) if try_later(&error) => break,
                Err(error) if gone(&error) => &[],
                Err(error) => return Err(error).context("read from the channel"),
            };
            self.closed = input.is_empty();
            while let Some(frame) = self.decoder.decode(&mut input)? {
                self.arrived.push_back(frame);
            }
        }
        Ok(self.arrived.pop_front())
    }

    /// Says hello. `kernel` is the running kernel's release.
    ///
    /// # Errors
    /// The transport's.
    pub fn hello(&mut self, kernel: &str) -> Result<()> {
        let kernel = kernel.to_owned();
        self.outbox.message(&ToHost::Hello { min: MIN_VERSION, max: VERSION, kernel });
        self.flush()
    }

    /// Waits for the host's answer to hello; `None` when it went away instead.
    ///
    /// # Errors
    /// The transport's, and any other answer.
    pub fn configuration(&mut self) -> Result<Option<Configure>> {
        loop {
            match self.receive()? {
                Some(Frame::Message(ToGuest::Configure(configure))) => {
                    return checked(*configure).map(Some);
                }
                Some(other) => {
                    return Err(Error::Protocol(format!("{other:?} instead of Configure")));
                }
                None if self.closed => return Ok(None),
                None => {}
            }
            self.flush()?;
            self.wait(PollTimeout::NONE)?;
        }
    }

    /// Says that processes may be started.
    ///
    /// # Errors
    /// The transport's.
    pub fn configured(&mut self) -> Result<()> {
        self.outbox.message(&ToHost::Configured);
        self.flush()
    }

    /// Tells the host why the guest cannot go on, as long as it listens.
    pub fn fail(&mut self, error: &Error) {
        self.outbox.message(&ToHost::Failed { message: short(error) });
        let deadline = Instant::now() + LAST_WORDS;
        while self.flush().is_ok() && !self.closed && !self.outbox.rest().is_empty() {
            let left = deadline.saturating_duration_since(Instant::now());
            let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::ZERO);
            if left.is_zero() || self.wait(timeout).is_err() {
                return;
            }
        }
    }

    fn wait(&mut self, timeout: PollTimeout) -> Result<()> {
        let mut fds = [self.poll_fd()];
        let ready = match poll(&mut fds, timeout) {
            Err(nix::errno::Errno::EINTR) => false,
            polled => {
                polled.context("wait for the channel")?;
                fds[0].any().unwrap_or(false)
            }
        };
        if ready { self.acknowledge() } else { Ok(()) }
    }
}

/// The beginning of an error text, which may quote something long.
pub(crate) fn short(error: &impl std::fmt::Display) -> String {
    let mut text = error.to_string();
    let end = (0..=MAX_TEXT).rev().find(|end| text.is_char_boundary(*end));
    text.truncate(end.unwrap_or_default());
    text
}

/// Refuses a version that this guest does not speak.
fn checked(configure: Configure) -> Result<Configure> {
    let version = configure.version;
    if (MIN_VERSION..=VERSION).contains(&version) {
        return Ok(configure);
    }
    Err(Error::Protocol(format!(
        "the host wants protocol version {version}, this vxn-init speaks {MIN_VERSION} to {VERSION}"
    )))
}

/// Whether an error means that the peer is gone.
fn gone(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionReset, NotConnected, UnexpectedEof};
    matches!(error.kind(), BrokenPipe | ConnectionReset | NotConnected | UnexpectedEof)
}
