//! The thread that serves one share.

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::EventFd;
use xen_vchan::Vchan;

use super::RING;
use crate::share::{self, Connection};

/// The host's end of a share's channel.
pub trait Channel: AsFd {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize>;
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize>;
    fn acknowledge(&mut self) -> io::Result<()>;
}

impl Channel for Vchan {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        Vchan::read(self, buffer)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Vchan::write(self, bytes)
    }

    fn acknowledge(&mut self) -> io::Result<()> {
        Vchan::acknowledge(self)
    }
}

/// Why a service ended before it was to.
#[derive(Debug, thiserror::Error)]
enum Broken {
    #[error(transparent)]
    Channel(#[from] io::Error),
    #[error("the guest broke the protocol: {0}")]
    Protocol(#[from] share::Error),
}

/// One share being served.
#[derive(Debug)]
pub struct Service<C> {
    pub channel: C,
    pub connection: Connection,
    /// Readable when the monitor wants an end.
    pub stop: Arc<EventFd>,
}

impl<C: Channel + Send + 'static> Service<C> {
    /// Begins. In what is logged it is called `path`.
    pub fn spawn(mut self, path: String) -> io::Result<JoinHandle<()>> {
        thread::Builder::new().name("share".to_owned()).spawn(move || match self.run() {
            Ok(()) => tracing::debug!("{path} is shared no more"),
            // The channel closes with this, so the guest's programs get an error.
            Err(e) => tracing::error!("{path} is shared no more: {e}"),
        })
    }

    /// Serves until the guest or the monitor ends it.
    fn run(&mut self) -> Result<(), Broken> {
        let (mut buffer, mut answer) = (vec![0; RING], Vec::new());
        loop {
            match self.channel.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(length) => self.connection.feed(&buffer[..length]),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    if self.wait()? {
                        continue;
                    }
                    return Ok(());
                }
                Err(e) => return Err(e.into()),
            }
            // One answer at a time: small questions have large answers.
            while self.connection.answer(&mut answer)? {
                if !self.send(&answer)? {
                    return Ok(());
                }
                answer.clear();
            }
        }
    }

    /// Sends all of an answer. Returns whether there is anybody to send more to.
    fn send(&mut self, mut bytes: &[u8]) -> io::Result<bool> {
        while !bytes.is_empty() {
            match self.channel.write(bytes) {
                Ok(length) => bytes = &bytes[length..],
                Err(e) if e.kind() == io::ErrorKind::BrokenPipe => return Ok(false),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    if !self.wait()? {
                        return Ok(false);
                    }
                }
                Err(e) => return Err(e),
            }
        }
        Ok(true)
    }

    /// Waits for the guest; `false` when the monitor wants an end.
    fn wait(&mut self) -> io::Result<bool> {
        let fds = [self.channel.as_fd(), self.stop.as_fd()];
        let mut fds = fds.map(|fd| PollFd::new(fd, PollFlags::POLLIN));
        match poll(&mut fds, PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(e) => return Err(e.into()),
        }
        let [called, stopped] = fds.map(|fd| fd.any().unwrap_or(false));
        if called {
            self.channel.acknowledge()?;
        }
        Ok(!stopped)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::fd::BorrowedFd;
    use std::os::unix::net::UnixStream;

    use nix::sys::eventfd::EfdFlags;

    use super::super::Shares;
    use super::*;
    use crate::share::Export;

    struct Socket(UnixStream);

    impl AsFd for Socket {
        fn as_fd(&self) -> BorrowedFd<'_> {
            self.0.as_fd()
        }
    }

    impl Channel for Socket {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.0.read(buffer)
        }

        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.write(bytes)
        }

        fn acknowledge(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// A served directory, the guest's end, and what ends it.
    fn served() -> (tempfile::TempDir, UnixStream, Shares) {
        let dir = tempfile::tempdir().unwrap();
        let (guest, channel) = UnixStream::pair().unwrap();
        channel.set_nonblocking(true).unwrap();
        let stop = Arc::new(EventFd::from_value_and_flags(0, EfdFlags::EFD_CLOEXEC).unwrap());
        let connection = Connection::new(Export::open(dir.path(), false).unwrap(), 8);
        let channel = Socket(channel);
        let service = Service { channel, connection, stop: Arc::clone(&stop) };
        let threads = vec![service.spawn("/data".into()).unwrap()];
        (dir, guest, Shares { told: Vec::new(), stop, threads })
    }

    /// Tversion, as Linux begins.
    const VERSION: &[u8] = b"\x15\0\0\0\x64\xff\xff\0\0\x02\0\x08\x009P2000.L";

    #[test]
    fn a_share_is_served_until_the_monitor_ends_it() {
        let (_dir, mut guest, shares) = served();
        guest.write_all(VERSION).unwrap();
        let mut answer = [0; VERSION.len()];
        guest.read_exact(&mut answer).unwrap();
        assert_eq!((answer[4], &answer[13..]), (101, &b"9P2000.L"[..]));
        drop(shares);
        assert_eq!(guest.read(&mut answer).unwrap(), 0);
    }

    #[test]
    fn a_guest_that_breaks_the_protocol_is_cut_off() {
        let (_dir, mut guest, _shares) = served();
        guest.write_all(&[0xff; 100]).unwrap();
        // The rest of its words is not read, which the socket calls a reset.
        assert!(matches!(guest.read(&mut [0; 1]), Ok(0) | Err(_)));
    }
}
