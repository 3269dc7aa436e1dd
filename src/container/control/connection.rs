//! A command's side of the socket.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;

use vxn_proto::{Decoder, Frame, StreamId};

use super::message::{STREAMS, ToClient, ToMonitor};

/// Why a monitor cannot be talked to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is nobody: it does not run, or ends just now.
    #[error("the container is not running")]
    NotRunning,
    /// It says no.
    #[error("{0}")]
    Refused(String),
    /// It was killed.
    #[error("the container's monitor was killed")]
    Lost,
    /// Bytes that are no frame, or a message out of turn.
    #[error("the container's monitor does not keep to the protocol")]
    Protocol,
    /// The system.
    #[error("cannot talk to the container's monitor: {0}")]
    Io(#[from] io::Error),
}

/// A connection to a container's monitor.
#[derive(Debug)]
pub struct Connection {
    stream: UnixStream,
    decoder: Decoder<ToClient>,
}

impl Connection {
    /// Connects to the monitor whose directory is `run`.
    pub fn open(run: &Path) -> Result<Connection, Error> {
        match UnixStream::connect(super::socket(run)) {
            Ok(stream) => Ok(Connection::over(stream)),
            Err(e) if gone(&e) => Err(Error::NotRunning),
            Err(e) => Err(e.into()),
        }
    }

    /// Talks over a link that is there.
    pub fn over(stream: UnixStream) -> Connection {
        Connection { stream, decoder: Decoder::new() }
    }

    /// The socket.
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }

    /// Sends a message.
    pub fn send(&mut self, message: &ToMonitor) -> Result<(), Error> {
        let mut bytes = Vec::new();
        vxn_proto::encode_message(message, &mut bytes)
            .map_err(|e| Error::Refused(format!("the arguments are too long: {e}")))?;
        self.write(&bytes)
    }

    /// Sends stdin, within the window.
    pub fn send_stdin(&mut self, input: &[u8]) -> Result<(), Error> {
        let mut bytes = Vec::new();
        vxn_proto::encode_data(StreamId::stdin(STREAMS), input, &mut bytes);
        self.write(&bytes)
    }

    /// Says that there is no more stdin.
    pub fn end_stdin(&mut self) -> Result<(), Error> {
        let mut bytes = Vec::new();
        vxn_proto::encode_eof(StreamId::stdin(STREAMS), &mut bytes);
        self.write(&bytes)
    }

    /// A monitor that has gone shows when its last words are read.
    fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        match self.stream.write_all(bytes) {
            Err(e) if !gone(&e) => Err(e.into()),
            _ => Ok(()),
        }
    }

    /// Waits for bytes and takes the frames that they complete.
    pub fn receive(&mut self) -> Result<Vec<Frame<ToClient>>, Error> {
        let mut buffer = [0; 64 * 1024];
        let length = match self.stream.read(&mut buffer) {
            Ok(0) => return Err(Error::Lost),
            Ok(length) => length,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => 0,
            Err(e) if gone(&e) => return Err(Error::Lost),
            Err(e) => return Err(e.into()),
        };
        let (mut input, mut frames) = (&buffer[..length], Vec::new());
        while let Some(frame) = self.decoder.decode(&mut input).map_err(|_| Error::Protocol)? {
            frames.push(frame);
        }
        Ok(frames)
    }

    /// Asks, and waits for the one answer. A refusal is an error.
    pub fn ask(&mut self, message: &ToMonitor) -> Result<ToClient, Error> {
        self.send(message)?;
        loop {
            match self.receive()?.into_iter().next() {
                None => {}
                Some(Frame::Message(ToClient::Refused { message })) => {
                    return Err(Error::Refused(message));
                }
                Some(Frame::Message(message)) => return Ok(message),
                Some(_) => return Err(Error::Protocol),
            }
        }
    }
}

fn gone(e: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionRefused, ConnectionReset, NotFound};
    matches!(e.kind(), BrokenPipe | ConnectionRefused | ConnectionReset | NotFound)
}
