//! The caller's side of a run: starts the monitor, passes signals on, waits.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{Child, Stdio};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::sys::signalfd::SignalFd;
use nix::unistd::Pid;

use super::monitor::signal_fd;
use super::plan::Plan;
use super::reap;
use super::report::{self, ENGINE_FAILED, Report};
use crate::tool;

/// Runs a container to its end with the caller's stdin, stdout and stderr.
///
/// # Errors
/// When the monitor cannot be started; everything later is in the report.
pub fn run(plan: &Plan) -> io::Result<Report> {
    let signals = signal_fd()?;
    let (mut link, theirs) = UnixStream::pair()?;
    let mut monitor = spawn(plan, OwnedFd::from(theirs))?;
    let sent = report::send(&mut link, plan);
    if let Err(e) = sent {
        tracing::debug!("the monitor did not take its plan: {e}");
    }
    attend(&link, &signals, &monitor)?;
    let report = report::receive::<Report>(&mut link);
    monitor.wait()?;
    Ok(report.unwrap_or_else(|_| monitor_died(plan)))
}

/// Starts this binary again as `vxn monitor`, with one socket besides the three
/// standard streams.
fn spawn(plan: &Plan, theirs: OwnedFd) -> io::Result<Child> {
    fcntl(&theirs, FcntlArg::F_SETFD(FdFlag::empty()))?;
    let stdin = if plan.process.stdin { Stdio::inherit() } else { Stdio::null() };
    tool::this_program()?
        .args(["monitor", "--link", &theirs.as_raw_fd().to_string()])
        .stdin(stdin)
        .spawn()
}

/// Passes signals on until the monitor reports or dies.
fn attend(link: &UnixStream, signals: &SignalFd, monitor: &Child) -> io::Result<()> {
    let pid = i32::try_from(monitor.id()).map_err(io::Error::other)?;
    loop {
        let mut fds = [
            PollFd::new(link.as_fd(), PollFlags::POLLIN),
            PollFd::new(signals.as_fd(), PollFlags::POLLIN),
        ];
        match poll(&mut fds, PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(e) => return Err(e.into()),
        }
        if fds[0].any() == Some(true) {
            return Ok(());
        }
        while let Some(info) = signals.read_signal()? {
            if let Ok(signal) = Signal::try_from(info.ssi_signo as i32) {
                // It is our child and not yet waited for, so the pid is its own.
                kill(Pid::from_raw(pid), signal)?;
            }
        }
    }
}

/// The monitor ended without a word: what it had made is removed here.
fn monitor_died(plan: &Plan) -> Report {
    let report = Report::failed(ENGINE_FAILED, "the container's monitor was killed");
    match reap::abandoned(&plan.run) {
        Ok(_) => report,
        Err(e) => report.with_hint(Some(format!("some of it may be left: {e}"))),
    }
}
