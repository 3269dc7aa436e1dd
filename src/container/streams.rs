//! The user's stdin, stdout and stderr.
//!
//! They are inherited and may block, and making them non-blocking would change
//! them for every process that shares them. So each has a thread that blocks
//! in its place and wakes the monitor's poll loop through an eventfd.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender, SyncSender};
use std::thread;

use nix::sys::eventfd::{EfdFlags, EventFd};

/// Bytes read from stdin at once.
const CHUNK: usize = 64 * 1024;

/// What a thread has to say.
#[derive(Debug)]
pub enum Progress {
    /// Bytes of the output with this tag reached their reader.
    Written {
        /// Tag of the output.
        tag: usize,
        /// How many.
        bytes: usize,
    },
    /// The output's reader is gone, or the disk behind it full.
    Broken {
        /// Tag of the output.
        tag: usize,
        /// The system's words.
        error: io::Error,
    },
    /// The output was closed by [`Output::finish`] and all of it is written.
    Finished {
        /// Tag of the output.
        tag: usize,
    },
}

/// Wakes the poll loop and tells it what happened.
#[derive(Debug)]
pub struct Mailbox {
    wake: Arc<EventFd>,
    send: Sender<Progress>,
    receive: Receiver<Progress>,
}

#[derive(Clone)]
struct Post {
    wake: Arc<EventFd>,
    send: Sender<Progress>,
}

impl Post {
    fn put(&self, progress: Progress) {
        // A send fails only when the monitor is on its way out.
        if self.send.send(progress).is_ok() {
            wake(&self.wake);
        }
    }
}

fn wake(event: &EventFd) {
    if let Err(e) = event.write(1) {
        tracing::error!("cannot wake the monitor: {e}");
    }
}

impl Mailbox {
    /// An empty mailbox.
    pub fn new() -> io::Result<Mailbox> {
        let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
        let wake = Arc::new(EventFd::from_value_and_flags(0, flags)?);
        let (send, receive) = mpsc::channel();
        Ok(Mailbox { wake, send, receive })
    }

    /// Becomes readable when there is something to take.
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }

    /// Takes all that is there.
    pub fn take(&self) -> Vec<Progress> {
        // EAGAIN: a wake-up that an earlier call has served.
        let _ = self.wake.read();
        self.receive.try_iter().collect()
    }

    fn post(&self) -> Post {
        Post { wake: Arc::clone(&self.wake), send: self.send.clone() }
    }
}

/// A thread that writes. What it holds is bounded by the stream's window.
#[derive(Debug)]
pub struct Output {
    queue: Option<Sender<Vec<u8>>>,
}

impl Output {
    /// Writes to `fd` and reports under `tag`.
    pub fn spawn(fd: OwnedFd, tag: usize, mailbox: &Mailbox) -> io::Result<Output> {
        let (queue, chunks) = mpsc::channel::<Vec<u8>>();
        let post = mailbox.post();
        thread::Builder::new()
            .name(format!("output {tag}"))
            .spawn(move || write_chunks(File::from(fd), tag, &chunks, &post))?;
        Ok(Output { queue: Some(queue) })
    }

    /// Has `take` read what is written, and reports under `tag`. An error of its own is
    /// [`Progress::Broken`].
    pub fn taken_by(
        take: impl FnOnce(&mut dyn Read) -> io::Result<()> + Send + 'static,
        tag: usize,
        mailbox: &Mailbox,
    ) -> io::Result<Output> {
        let (queue, chunks) = mpsc::channel::<Vec<u8>>();
        let post = mailbox.post();
        let (current, taken) = (Vec::new(), 0);
        let mut chunks = Chunks { chunks, current, taken, tag, post };
        thread::Builder::new().name(format!("output {tag}")).spawn(move || {
            if let Err(error) = take(&mut chunks) {
                chunks.post.put(Progress::Broken { tag, error });
            }
            chunks.drop_the_rest();
            chunks.post.put(Progress::Finished { tag });
        })?;
        Ok(Output { queue: Some(queue) })
    }

    /// Queues bytes.
    pub fn write(&self, bytes: Vec<u8>) {
        // The thread ends only after `finish`.
        if let Some(queue) = &self.queue {
            let _ = queue.send(bytes);
        }
    }

    /// No more bytes will come.
    pub fn finish(&mut self) {
        self.queue = None;
    }
}

fn write_chunks(mut file: File, tag: usize, chunks: &Receiver<Vec<u8>>, post: &Post) {
    let mut broken = false;
    for chunk in chunks {
        if !broken {
            if let Err(error) = file.write_all(&chunk) {
                broken = true;
                post.put(Progress::Broken { tag, error });
            }
        }
        post.put(Progress::Written { tag, bytes: chunk.len() });
    }
    post.put(Progress::Finished { tag });
}

/// What was written, to be read by whoever takes it.
struct Chunks {
    chunks: Receiver<Vec<u8>>,
    current: Vec<u8>,
    /// Bytes of `current` that were read.
    taken: usize,
    tag: usize,
    post: Post,
}

impl Chunks {
    /// Waits for more when all was read. Returns whether there is any.
    fn fill(&mut self) -> bool {
        while self.taken == self.current.len() {
            match self.chunks.recv() {
                Ok(chunk) => (self.current, self.taken) = (chunk, 0),
                Err(mpsc::RecvError) => return false,
            }
        }
        true
    }

    fn take(&mut self, bytes: usize) {
        self.taken += bytes;
        if self.taken == self.current.len() {
            self.post.put(Progress::Written { tag: self.tag, bytes: self.current.len() });
        }
    }

    fn drop_the_rest(&mut self) {
        while self.fill() {
            self.take(self.current.len() - self.taken);
        }
    }
}

impl Read for Chunks {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() || !self.fill() {
            return Ok(0);
        }
        let count = (&self.current[self.taken..]).read(buffer)?;
        self.take(count);
        Ok(count)
    }
}

/// A thread that reads, at most two chunks ahead of what the guest takes.
#[derive(Debug)]
pub struct Input {
    chunks: Receiver<Vec<u8>>,
    current: Vec<u8>,
    /// Bytes of `current` that are gone.
    taken: usize,
    ended: bool,
}

impl Input {
    /// Reads from `fd`.
    pub fn spawn(fd: OwnedFd, mailbox: &Mailbox) -> io::Result<Input> {
        let (send, chunks) = mpsc::sync_channel(1);
        let event = Arc::clone(&mailbox.wake);
        thread::Builder::new()
            .name("input".to_owned())
            .spawn(move || read_chunks(File::from(fd), send, &event))?;
        Ok(Input { chunks, current: Vec::new(), taken: 0, ended: false })
    }

    /// The next bytes; empty when there are none yet.
    pub fn peek(&mut self) -> &[u8] {
        if self.taken == self.current.len() && !self.ended {
            match self.chunks.try_recv() {
                Ok(chunk) => (self.current, self.taken) = (chunk, 0),
                Err(mpsc::TryRecvError::Empty) => {}
                Err(mpsc::TryRecvError::Disconnected) => self.ended = true,
            }
        }
        &self.current[self.taken..]
    }

    /// Drops bytes that [`Input::peek`] showed.
    pub fn consume(&mut self, bytes: usize) {
        self.taken = self.current.len().min(self.taken + bytes);
    }

    /// Whether everything was read and consumed.
    pub fn ended(&self) -> bool {
        self.ended && self.taken == self.current.len()
    }
}

fn read_chunks(mut file: File, send: SyncSender<Vec<u8>>, event: &EventFd) {
    let mut buffer = vec![0; CHUNK];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(length) => {
                if send.send(buffer[..length].to_vec()).is_err() {
                    break;
                }
                wake(event);
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => {
                tracing::warn!("cannot read stdin: {e}");
                break;
            }
        }
    }
    // The end shows as a closed queue, so it closes before the last wake-up.
    drop(send);
    wake(event);
}

#[cfg(test)]
mod tests {
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

    use super::*;

    fn wait(mailbox: &Mailbox) -> Vec<Progress> {
        let timeout = PollTimeout::from(10_000_u16);
        let mut fds = [PollFd::new(mailbox.as_fd(), PollFlags::POLLIN)];
        assert_eq!(poll(&mut fds, timeout), Ok(1), "no wake-up");
        mailbox.take()
    }

    #[test]
    fn an_output_reports_what_it_wrote_and_its_end() {
        let mailbox = Mailbox::new().unwrap();
        let (read, write) = nix::unistd::pipe().unwrap();
        let mut output = Output::spawn(write, 1, &mailbox).unwrap();
        output.write(b"abc".to_vec());
        output.write(b"de".to_vec());
        output.finish();
        let mut written = 0;
        loop {
            for progress in wait(&mailbox) {
                match progress {
                    Progress::Written { tag: 1, bytes } => written += bytes,
                    Progress::Finished { tag: 1 } => {
                        let mut text = String::new();
                        File::from(read).read_to_string(&mut text).unwrap();
                        assert_eq!((text.as_str(), written), ("abcde", 5));
                        return;
                    }
                    other => panic!("{other:?}"),
                }
            }
        }
    }

    #[test]
    fn a_broken_output_says_so_once_and_goes_on() {
        let mailbox = Mailbox::new().unwrap();
        let (read, write) = nix::unistd::pipe().unwrap();
        drop(read);
        let mut output = Output::spawn(write, 0, &mailbox).unwrap();
        output.write(b"abc".to_vec());
        output.write(b"de".to_vec());
        output.finish();
        let (mut broken, mut written, mut finished) = (0, 0, false);
        while !finished {
            for progress in wait(&mailbox) {
                match progress {
                    Progress::Written { bytes, .. } => written += bytes,
                    Progress::Broken { .. } => broken += 1,
                    Progress::Finished { .. } => finished = true,
                }
            }
        }
        assert_eq!((broken, written), (1, 5));
    }

    #[test]
    fn whoever_takes_an_output_gets_all_of_it_or_says_why_not() {
        let ends = |limit: u64| {
            let mailbox = Mailbox::new().unwrap();
            let take = move |from: &mut dyn Read| {
                let mut bytes = Vec::new();
                from.take(limit).read_to_end(&mut bytes)?;
                let whole = bytes == [7; 300_000];
                whole.then_some(()).ok_or_else(|| io::Error::other("half of it"))
            };
            let mut output = Output::taken_by(take, 2, &mailbox).unwrap();
            (0..3).for_each(|_| output.write(vec![7; 100_000]));
            output.finish();
            let (mut written, mut broken) = (0, 0);
            loop {
                for progress in wait(&mailbox) {
                    match progress {
                        Progress::Written { tag: 2, bytes } => written += bytes,
                        Progress::Broken { tag: 2, .. } => broken += 1,
                        Progress::Finished { tag: 2 } => return (written, broken),
                        other => panic!("{other:?}"),
                    }
                }
            }
        };
        assert_eq!(ends(u64::MAX), (300_000, 0));
        assert_eq!(ends(150_000), (300_000, 1), "the rest is taken and dropped");
    }

    #[test]
    fn input_comes_in_order_and_ends() {
        let mailbox = Mailbox::new().unwrap();
        let (read, write) = nix::unistd::pipe().unwrap();
        let mut input = Input::spawn(read, &mailbox).unwrap();
        let sent: Vec<u8> = (0..300_000_u32).map(|n| n as u8).collect();
        let bytes = sent.clone();
        let writer = thread::spawn(move || File::from(write).write_all(&bytes).unwrap());
        let mut got = Vec::new();
        loop {
            let chunk = input.peek().to_vec();
            let taken = chunk.len().min(1000);
            got.extend_from_slice(&chunk[..taken]);
            input.consume(taken);
            if input.ended() {
                break;
            }
            if taken == 0 {
                wait(&mailbox);
            }
        }
        writer.join().unwrap();
        assert!(got == sent, "{} of {} bytes", got.len(), sent.len());
    }
}
