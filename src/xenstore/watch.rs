//! Watches: learn of changes without asking again and again.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::ffi::Handle;
use super::{Error, Result};

/// A watch on a node and all below it. It fires once at once, so that a look
/// after the first [`Watch::wait`] misses nothing. Dropping it ends
/// it, with its connection.
#[derive(Debug)]
pub struct Watch {
    handle: Handle,
    path: String,
}

impl Watch {
    pub(super) fn new(handle: Handle, path: &str) -> Result<Watch> {
        handle.watch(path)?;
        Ok(Watch { handle, path: path.to_owned() })
    }

    /// Waits for a change and returns the path of what changed, or `None` after
    /// `timeout` (`xs_check_watch`).
    pub fn wait(&self, timeout: Option<Duration>) -> Result<Option<String>> {
        let deadline = timeout.and_then(|t| Instant::now().checked_add(t));
        loop {
            if let Some(path) = self.check()? {
                return Ok(Some(path));
            }
            if !self.poll(deadline).map_err(|e| self.failed(e))? {
                return self.check();
            }
        }
    }

    /// The path of what changed, if anything did. For a poll loop of the caller's:
    /// `as_fd` is readable when there is something.
    pub fn check(&self) -> Result<Option<String>> {
        self.handle.check_watch().map_err(|e| self.failed(e))
    }

    /// Whether the descriptor became readable before the deadline.
    fn poll(&self, deadline: Option<Instant>) -> io::Result<bool> {
        loop {
            let timeout = match deadline {
                None => PollTimeout::NONE,
                // Rounded up, lest the last millisecond be spent spinning.
                Some(d) => {
                    let left = d.saturating_duration_since(Instant::now());
                    let millis = left.as_micros().div_ceil(1000);
                    PollTimeout::try_from(millis).unwrap_or(PollTimeout::MAX)
                }
            };
            let mut fds = [PollFd::new(self.as_fd(), PollFlags::POLLIN)];
            match poll(&mut fds, timeout) {
                Ok(0) if deadline.is_some_and(|d| Instant::now() < d) => {}
                Ok(n) => return Ok(n > 0),
                Err(Errno::EINTR) => {}
                Err(e) => return Err(e.into()),
            }
        }
    }

    fn failed(&self, error: io::Error) -> Error {
        Error::Node { verb: "watch", path: self.path.clone(), error }
    }
}

impl AsFd for Watch {
    /// Readable when [`Watch::check`] has something.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.handle.watch_fd()
    }
}
