//! The container's processes stand still while its layer is read (cgroup v2,
//! `cgroup.freeze`).

use std::{
    fs::{self, File},
    io::{ErrorKind, Read, Seek},
    os::fd::AsFd,
    time::{Duration, Instant},
};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::{Error, Result, error::Context, limits::control_file};

/// How long the processes may take to stand still. One in uninterruptible sleep does
/// not.
const PATIENCE: Duration = Duration::from_secs(10);

/// Has the kernel freeze the container's processes, or let them go on. Nothing waits
/// here; a container without processes has no group.
///
/// # Errors
/// The kernel's.
pub fn set(frozen: bool) -> Result<()> {
    let file = control_file("cgroup.freeze");
    match fs::write(&file, if frozen { "1" } else { "0" }) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        written => written.context(format_args!("write to {file}")),
    }
}

/// Waits until they stand still.
///
/// # Errors
/// The kernel's; when it takes too long.
pub fn wait_until_frozen() -> Result<()> {
    let file = control_file("cgroup.events");
    let mut events = match File::open(&file) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        opened => opened.context(format_args!("open {file}"))?,
    };
    let deadline = Instant::now() + PATIENCE;
    loop {
        let mut text = String::new();
        events.rewind().context("read the group's events")?;
        events.read_to_string(&mut text).context("read the group's events")?;
        if text.lines().any(|line| line == "frozen 1") {
            return Ok(());
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(Error::Other(format!(
                "the container's processes did not stand still within {} s: \
                 commit with --pause=false, or stop the container first",
                PATIENCE.as_secs()
            )));
        }
        // The kernel tells of a change by POLLPRI (cgroup-v2, "cgroup.events").
        let mut fds = [PollFd::new(events.as_fd(), PollFlags::POLLPRI)];
        let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::ZERO);
        poll(&mut fds, timeout).context("wait for the group's events")?;
    }
}
