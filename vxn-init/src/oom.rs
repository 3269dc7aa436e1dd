//! When memory runs out. The guest runs nothing but the container, so whoever the
//! kernel kills is one of its processes.

use std::{
    fs::{self, File, OpenOptions},
    io::Write,
    os::{fd::AsFd, unix::fs::OpenOptionsExt},
};

use nix::{
    libc,
    poll::{PollFd, PollFlags},
};

/// When the guest thrashes: nothing in it got anything done for so long, because all
/// waited for memory (µs), in a window of so long (µs). Pressure is a share of time,
/// so it means the same on slow machines and on fast ones. Once per window at most,
/// in which whoever was killed has time to end.
/// <https://docs.kernel.org/accounting/psi.html>; the kernel takes the last byte away.
const THRASHING: &str = "full 6000000 10000000\0";

/// Tells when the guest thrashes. It has no swap: one whose memory is full of data
/// evicts the very programs that run, and reads them from the disk again and again,
/// for minutes, before the kernel kills.
#[derive(Debug)]
pub struct Pressure(Option<File>);

impl Pressure {
    /// Watches from here on. A kernel without pressure stall information kills later.
    pub fn watch() -> Self {
        let mut options = OpenOptions::new();
        options.read(true).write(true).custom_flags(libc::O_NONBLOCK);
        let Ok(mut file) = options.open("/proc/pressure/memory") else { return Self(None) };
        if let Err(error) = file.write_all(THRASHING.as_bytes()) {
            eprintln!("vxn-init: /proc/pressure/memory: {error}; a guest may thrash for long");
            return Self(None);
        }
        Self(Some(file))
    }

    /// The descriptor to poll.
    pub fn poll_fd(&self) -> Option<PollFd<'_>> {
        self.0.as_ref().map(|file| PollFd::new(file.as_fd(), PollFlags::POLLPRI))
    }
}

/// Has the kernel kill the process that it would kill when memory has run out.
pub fn kill() {
    // A kernel without it kills later.
    let _ = fs::write("/proc/sysrq-trigger", "f");
}

/// What the kernel had counted when the container came to be.
#[derive(Debug)]
pub struct OomKills {
    before: u64,
}

impl OomKills {
    /// Counts from here on.
    pub fn watch() -> Self {
        Self { before: count() }
    }

    /// Whether there was one since.
    pub fn any(&self) -> bool {
        count() > self.before
    }
}

/// All since the boot; none for a kernel that does not count them.
fn count() -> u64 {
    parse(&fs::read_to_string("/proc/vmstat").unwrap_or_default())
}

fn parse(vmstat: &str) -> u64 {
    let line = vmstat.lines().find_map(|line| line.strip_prefix("oom_kill "));
    line.and_then(|number| number.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_count_is_found() {
        assert_eq!(parse("nr_free 5\noom_kill 3\noom_kill_other 9\n"), 3);
        assert_eq!(parse("nr_free 5\n"), 0);
    }
}
