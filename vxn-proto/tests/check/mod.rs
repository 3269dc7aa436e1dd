//! What must hold for any bytes; shared by the tests and the fuzz targets.

use std::fmt::Debug;

use vxn_proto::{Decoder, Error, Frame, Message, encode_data, encode_eof, encode_message};

/// Decodes `bytes` in pieces of `piece` bytes: the frames, and how it ended.
pub fn decode<M: Message>(bytes: &[u8], piece: usize) -> (Vec<Frame<M>>, Result<(), Error>) {
    let mut decoder = Decoder::new();
    let mut frames = Vec::new();
    for mut input in bytes.chunks(piece) {
        loop {
            match decoder.decode(&mut input) {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(error) => return (frames, Err(error)),
            }
        }
    }
    (frames, Ok(()))
}

/// Encodes frames.
pub fn encode<M: Message>(frames: &[Frame<M>]) -> Vec<u8> {
    let mut out = Vec::new();
    for frame in frames {
        match frame {
            Frame::Message(message) => encode_message(message, &mut out).unwrap(),
            Frame::Data { stream, body } => encode_data(*stream, body, &mut out),
            Frame::Eof { stream } => encode_eof(*stream, &mut out),
        }
    }
    out
}

/// The pieces in which bytes arrive do not matter, and what was decoded
/// survives a round trip.
pub fn check<M: Message + PartialEq + Debug>(bytes: &[u8]) {
    let whole = decode::<M>(bytes, bytes.len().max(1));
    assert_eq!(whole, decode(bytes, 1));
    assert_eq!(whole, decode(bytes, 7));
    let again = decode(&encode(&whole.0), 4096);
    assert_eq!(again, (whole.0, Ok(())));
}
