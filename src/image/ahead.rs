//! Reading ahead in a thread of its own.

use std::io::{self, Read};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{Builder, JoinHandle};

/// How much is read at once, and how many of these pieces wait for the reader.
const PIECE: usize = 1 << 17;
const PIECES: usize = 4;

/// The reading end. Dropping it ends the thread.
#[derive(Debug)]
pub struct Ahead {
    pieces: Option<Receiver<io::Result<Vec<u8>>>>,
    piece: Vec<u8>,
    read: usize,
    thread: Option<JoinHandle<()>>,
}

impl Ahead {
    /// Reads what `open` opens; both happen in the thread.
    pub fn of<'a, F>(open: F) -> io::Result<Ahead>
    where
        F: FnOnce() -> io::Result<Box<dyn Read + 'a>> + Send + 'static,
    {
        let (sender, pieces) = sync_channel(PIECES);
        let thread = Builder::new().name("layer".to_owned()).spawn(move || {
            match open() {
                Ok(mut input) => pump(&mut *input, &sender),
                // Nobody listens any more: nobody needs to know.
                Err(e) => drop(sender.send(Err(e))),
            }
        })?;
        Ok(Ahead { pieces: Some(pieces), piece: Vec::new(), read: 0, thread: Some(thread) })
    }
}

/// Sends pieces until the input ends, fails, or nobody listens.
fn pump(input: &mut dyn Read, to: &SyncSender<io::Result<Vec<u8>>>) {
    loop {
        let mut piece = Vec::with_capacity(PIECE);
        let read = input.take(PIECE as u64).read_to_end(&mut piece);
        let more = read.as_ref().is_ok_and(|&n| n == PIECE);
        // What came before a failure counts too.
        if !piece.is_empty() && to.send(Ok(piece)).is_err() {
            return;
        }
        if let Err(e) = read {
            drop(to.send(Err(e)));
        }
        if !more {
            return;
        }
    }
}

impl Read for Ahead {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.read == self.piece.len() {
            let next = self.pieces.as_ref().and_then(|pieces| pieces.recv().ok());
            match next {
                None => return Ok(0),
                Some(piece) => (self.piece, self.read) = (piece?, 0),
            }
        }
        let n = (&self.piece[self.read..]).read(buffer)?;
        self.read += n;
        Ok(n)
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        self.pieces = None;
        if let Some(thread) = self.thread.take() {
            // A panic in there was the end of the input for the reader.
            drop(thread.join());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fails;

    impl Read for Fails {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("broken"))
        }
    }

    #[test]
    fn all_of_it_comes_in_order() {
        let bytes: Vec<u8> = (0..1_000_000_u32).map(|n| (n % 251) as u8).collect();
        let input = bytes.clone();
        let mut read = Vec::new();
        Ahead::of(|| Ok(Box::new(io::Cursor::new(input)))).unwrap().read_to_end(&mut read).unwrap();
        assert!(read == bytes);
    }

    #[test]
    fn failures_come_where_they_happen() {
        let input = || Box::new((&b"ab"[..]).chain(Fails));
        let mut read = Vec::new();
        let error = Ahead::of(move || Ok(input())).unwrap().read_to_end(&mut read).unwrap_err();
        assert_eq!((error.to_string().as_str(), &read[..]), ("broken", &b"ab"[..]));
        let error =
            Ahead::of(|| Err(io::Error::other("shut"))).unwrap().read(&mut [0]).unwrap_err();
        assert_eq!(error.to_string(), "shut");
    }

    #[test]
    fn who_stops_reading_ends_it() {
        let mut ahead = Ahead::of(|| Ok(Box::new(io::repeat(7)))).unwrap();
        assert_eq!(ahead.read(&mut [0; 10]).unwrap(), 10);
        drop(ahead);
    }
}
