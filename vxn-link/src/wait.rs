//! Waiting for a device, by the kernel's notifications.

use std::io;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::socket::Socket;
use crate::{Link, Links};

/// `RTNLGRP_LINK` of `linux/rtnetlink.h`.
const GROUP_LINK: u32 = 1;

impl Links {
    /// Waits for a device to be as `wanted`, at most for `limit`; `None` when
    /// none is by then.
    ///
    /// # Errors
    /// The kernel's.
    pub fn wait(
        &self,
        limit: Duration,
        wanted: impl Fn(&Link) -> bool,
    ) -> io::Result<Option<Link>> {
        self.look(limit, |links| links.into_iter().find(&wanted))
    }

    /// Waits for the last device that is as `unwanted` to go, at most for `limit`;
    /// returns whether none is left.
    ///
    /// # Errors
    /// The kernel's.
    pub fn wait_gone(&self, limit: Duration, unwanted: impl Fn(&Link) -> bool) -> io::Result<bool> {
        let gone = self.look(limit, |links| (!links.iter().any(&unwanted)).then_some(()))?;
        Ok(gone.is_some())
    }

    /// Looks at the devices after each change, until there is an answer or `limit` is
    /// over. The calling thread is in the same network namespace as the socket.
    fn look<T>(
        &self,
        limit: Duration,
        answer: impl Fn(Vec<Link>) -> Option<T>,
    ) -> io::Result<Option<T>> {
        // Before the first look: what comes after it is notified.
        let news = Socket::open()?;
        news.subscribe(GROUP_LINK)?;
        let deadline = Instant::now() + limit;
        loop {
            if let Some(found) = answer(self.list()?) {
                return Ok(Some(found));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
            match poll(&mut [PollFd::new(news.as_fd(), PollFlags::POLLIN)], timeout) {
                Ok(0) => return Ok(None),
                Ok(_) => news.drain()?,
                Err(nix::errno::Errno::EINTR) => {}
                Err(e) => return Err(e.into()),
            }
        }
    }
}
