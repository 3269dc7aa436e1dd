//! Frames on the wire, and how they are taken apart.

use std::marker::PhantomData;

use crate::{HEADER, MAX_DATA, Message, StreamId, StreamKind, UnknownStream};

/// Number of the control stream.
const CONTROL: u32 = 0;

/// What one end received from the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame<M> {
    /// A control message.
    Message(M),
    /// Bytes of a stream: at least one, at most [`MAX_DATA`].
    Data {
        /// The stream.
        stream: StreamId,
        /// The bytes.
        body: Vec<u8>,
    },
    /// The end of a stream.
    Eof {
        /// The stream.
        stream: StreamId,
    },
}

/// Bytes that are not a frame. The channel is out of step afterwards and must
/// be given up.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A body longer than its stream allows.
    #[error("frame of {length} bytes on stream {stream}, at most {limit} are allowed")]
    TooLong {
        /// Number of the stream.
        stream: u32,
        /// Bytes of the body.
        length: usize,
        /// Most bytes of a body there.
        limit: usize,
    },
    /// A stream that no process has.
    #[error(transparent)]
    UnknownStream(#[from] UnknownStream),
    /// A stream that only travels the other way.
    #[error("{kind:?} of process {process} does not travel in this direction")]
    WrongWay {
        /// Number of the process.
        process: u16,
        /// Which of its streams.
        kind: StreamKind,
    },
    /// A control frame that is no message.
    #[error("malformed control message: {0}")]
    Malformed(#[from] postcard::Error),
    /// A message with bytes after its end.
    #[error("{0} bytes after the end of a control message")]
    Trailing(usize),
}

/// Appends a control message to `out`.
///
/// # Errors
/// [`Error::TooLong`] when the message exceeds [`Message::MAX_BODY`]; `out` is
/// then unchanged.
pub fn encode_message<M: Message>(message: &M, out: &mut Vec<u8>) -> Result<(), Error> {
    let body = postcard::to_stdvec(message)?;
    if body.len() > M::MAX_BODY {
        let (stream, length, limit) = (CONTROL, body.len(), M::MAX_BODY);
        return Err(Error::TooLong { stream, length, limit });
    }
    put(CONTROL, &body, out);
    Ok(())
}

/// Appends `bytes` of a stream to `out`, as many frames as they need; none
/// when there are no bytes.
pub fn encode_data(stream: StreamId, bytes: &[u8], out: &mut Vec<u8>) {
    for body in bytes.chunks(MAX_DATA) {
        put(stream.into(), body, out);
    }
}

/// Appends the end of a stream to `out`.
pub fn encode_eof(stream: StreamId, out: &mut Vec<u8>) {
    put(stream.into(), &[], out);
}

/// Appends one frame. Callers keep bodies within a few MiB, far below `u32`.
fn put(stream: u32, body: &[u8], out: &mut Vec<u8>) {
    out.reserve(HEADER + body.len());
    out.extend_from_slice(&(body.len() as u32).to_le_bytes());
    out.extend_from_slice(&stream.to_le_bytes());
    out.extend_from_slice(body);
}

/// Takes a byte stream apart into frames whose messages are of type `M`.
///
/// It holds at most one unfinished frame, and of that only what has arrived.
#[derive(Debug)]
pub struct Decoder<M> {
    header: [u8; HEADER],
    /// Bytes of the header that have arrived.
    filled: usize,
    body: Vec<u8>,
    message: PhantomData<fn() -> M>,
}

impl<M: Message> Decoder<M> {
    /// A decoder at the start of a frame.
    pub const fn new() -> Self {
        Self { header: [0; HEADER], filled: 0, body: Vec::new(), message: PhantomData }
    }

    /// Takes bytes off the front of `input` until a frame is complete, and
    /// returns it; `None` when `input` is used up first. Call it until then:
    ///
    /// ```
    /// # use vxn_proto::{Decoder, Error, Frame, ToHost};
    /// # fn receive(decoder: &mut Decoder<ToHost>, mut input: &[u8]) -> Result<(), Error> {
    /// while let Some(frame) = decoder.decode(&mut input)? {
    ///     match frame {
    ///         Frame::Message(message) => println!("{message:?}"),
    ///         Frame::Data { stream, body } => println!("{stream:?}: {} bytes", body.len()),
    ///         Frame::Eof { stream } => println!("{stream:?} ended"),
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// See [`Error`]; none of them can be recovered from.
    pub fn decode(&mut self, input: &mut &[u8]) -> Result<Option<Frame<M>>, Error> {
        if self.filled < HEADER {
            let part = take(input, HEADER - self.filled);
            self.header[self.filled..][..part.len()].copy_from_slice(part);
            self.filled += part.len();
            if self.filled < HEADER {
                return Ok(None);
            }
        }
        let (length, stream) = self.parse_header();
        let stream = check::<M>(length, stream)?;
        self.body.extend_from_slice(take(input, length - self.body.len()));
        if self.body.len() < length {
            return Ok(None);
        }
        self.filled = 0;
        finish(stream, std::mem::take(&mut self.body)).map(Some)
    }

    /// Body length and stream of a complete header.
    fn parse_header(&self) -> (usize, u32) {
        let [a, b, c, d, e, f, g, h] = self.header;
        (u32::from_le_bytes([a, b, c, d]) as usize, u32::from_le_bytes([e, f, g, h]))
    }
}

impl<M: Message> Default for Decoder<M> {
    fn default() -> Self {
        Self::new()
    }
}

/// Splits at most `wanted` bytes off the front of `input`.
fn take<'a>(input: &mut &'a [u8], wanted: usize) -> &'a [u8] {
    let (taken, rest) = input.split_at(wanted.min(input.len()));
    *input = rest;
    taken
}

/// Checks a header; `None` is the control stream.
fn check<M: Message>(length: usize, stream: u32) -> Result<Option<StreamId>, Error> {
    let limit = if stream == CONTROL { M::MAX_BODY } else { MAX_DATA };
    if length > limit {
        return Err(Error::TooLong { stream, length, limit });
    }
    if stream == CONTROL {
        return Ok(None);
    }
    let id = StreamId::try_from(stream)?;
    if !M::carries(id.kind) {
        return Err(Error::WrongWay { process: id.process.0, kind: id.kind });
    }
    Ok(Some(id))
}

/// Makes a frame of a complete body.
fn finish<M: Message>(stream: Option<StreamId>, body: Vec<u8>) -> Result<Frame<M>, Error> {
    let Some(stream) = stream else {
        let (message, rest) = postcard::take_from_bytes(&body)?;
        return if rest.is_empty() {
            Ok(Frame::Message(message))
        } else {
            Err(Error::Trailing(rest.len()))
        };
    };
    Ok(if body.is_empty() { Frame::Eof { stream } } else { Frame::Data { stream, body } })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ProcessId, ToGuest, ToHost};

    fn decode<M: Message>(mut bytes: &[u8]) -> Result<Option<Frame<M>>, Error> {
        Decoder::new().decode(&mut bytes)
    }

    fn frame(stream: u32, body: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        put(stream, body, &mut out);
        out
    }

    #[test]
    fn a_length_beyond_the_limit_is_refused_before_its_body_arrives() {
        let mut header = frame(2, &[]);
        header[..4].copy_from_slice(&(MAX_DATA as u32 + 1).to_le_bytes());
        assert!(matches!(decode::<ToHost>(&header), Err(Error::TooLong { stream: 2, .. })));
        header[..4].copy_from_slice(&u32::MAX.to_le_bytes());
        header[4] = 0;
        assert!(matches!(decode::<ToGuest>(&header), Err(Error::TooLong { stream: 0, .. })));
    }

    #[test]
    fn streams_travel_one_way() {
        assert!(matches!(decode::<ToHost>(&frame(1, b"x")), Err(Error::WrongWay { .. })));
        assert!(matches!(decode::<ToGuest>(&frame(2, b"x")), Err(Error::WrongWay { .. })));
        let stream = StreamId::stdin(ProcessId(0));
        let data = Frame::Data { stream, body: b"x".to_vec() };
        assert_eq!(decode::<ToGuest>(&frame(1, b"x")), Ok(Some(data)));
    }

    #[test]
    fn a_message_with_a_tail_is_refused() {
        let mut body = postcard::to_stdvec(&ToHost::Configured).unwrap();
        assert_eq!(decode(&frame(0, &body)), Ok(Some(Frame::Message(ToHost::Configured))));
        body.push(0);
        assert_eq!(decode::<ToHost>(&frame(0, &body)), Err(Error::Trailing(1)));
    }

    #[test]
    fn unknown_messages_and_streams_are_refused() {
        assert!(matches!(decode::<ToHost>(&frame(0, &[99])), Err(Error::Malformed(_))));
        assert!(matches!(decode::<ToHost>(&frame(0, &[])), Err(Error::Malformed(_))));
        assert!(matches!(decode::<ToHost>(&frame(u32::MAX, b"x")), Err(Error::UnknownStream(_))));
    }

    #[test]
    fn a_message_that_is_too_long_is_not_sent() {
        let mut out = vec![7];
        let failed = ToHost::Failed { message: "x".repeat(MAX_DATA) };
        assert!(matches!(encode_message(&failed, &mut out), Err(Error::TooLong { .. })));
        assert_eq!(out, [7]);
    }

    #[test]
    fn long_data_becomes_several_frames() {
        let stream = StreamId::stdout(ProcessId(3));
        let mut out = Vec::new();
        encode_data(stream, &vec![1; MAX_DATA + 1], &mut out);
        encode_data(stream, &[], &mut out);
        assert_eq!(out.len(), MAX_DATA + 1 + 2 * HEADER);
    }
}
