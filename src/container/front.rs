//! A command that starts a container's monitor.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{Child, Stdio};

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::signal::Signal;
use vxn_proto::Frame;

use super::control::{Connection, Error, ToClient};
use super::keys::DetachKeys;
use super::monitor::signal_fd;
use super::order::{Attach, Order};
use super::plan::Plan;
use super::reap;
use super::report::{self, ENGINE_FAILED, Report};
use super::talk::{Outcome, Outputs, Streams, Talk, Until};
use super::terminal::RawMode;
use crate::tool;

/// How a command stays with the container that it starts.
#[derive(Debug)]
pub struct Stay {
    /// The keys that leave its terminal.
    pub keys: DetachKeys,
    /// Which outputs are shown.
    pub outputs: Outputs,
    /// Signals are the process's; else they end the command, and the container goes on.
    pub sig_proxy: bool,
}

impl Default for Stay {
    fn default() -> Stay {
        Stay { keys: DetachKeys::default(), outputs: Outputs::BOTH, sig_proxy: true }
    }
}

/// Starts a container and stays with it as the order says: to its end, until it
/// is left, or, detached, until its process runs.
///
/// # Errors
/// When the monitor cannot be started; everything later is in the outcome.
pub fn run(order: &Order, stay: Stay) -> io::Result<Outcome> {
    let carried = matches!(order.attach, Attach::Carried { .. });
    let tty = carried && order.plan.definition.process.tty;
    let signals = signal_fd(if tty { &[Signal::SIGWINCH] } else { &[] })?;
    let (mut link, theirs) = UnixStream::pair()?;
    let streams = standard_streams(order, stay.outputs);
    let mut monitor = spawn(OwnedFd::from(theirs), streams, None)?;
    if let Err(e) = report::send(&mut link, order) {
        tracing::debug!("the monitor did not take its order: {e}");
    }
    // A terminal that is only written to stays as it is.
    let typed = tty && matches!(order.attach, Attach::Carried { stdin: true, .. });
    let raw = typed.then(RawMode::enter).transpose()?;
    let keys = tty.then_some(stay.keys);
    let streams = match order.attach {
        Attach::Carried { stdin, .. } => Some(Streams::open(stdin, stay.outputs, keys)?),
        _ => None,
    };
    let until = if order.attach == Attach::Detached { Until::Started } else { Until::Ended };
    let talk = Talk::new(Connection::over(link), signals, streams, until);
    let outcome = talk.passing_signals(stay.sig_proxy).run();
    drop(raw);
    match outcome {
        Ok(Outcome::Ended(report)) => {
            monitor.wait()?;
            Ok(Outcome::Ended(report))
        }
        Ok(left) => Ok(left),
        Err(e) => {
            monitor.wait()?;
            Ok(Outcome::Ended(monitor_died(&order.plan, &e)))
        }
    }
}

/// The standard streams of the monitor of `order`.
fn standard_streams(order: &Order, shown: Outputs) -> [Stdio; 3] {
    if order.attach != Attach::Inherited {
        return [Stdio::null(), Stdio::null(), Stdio::null()];
    }
    let stream = |own: bool| if own { Stdio::inherit() } else { Stdio::null() };
    [order.plan.definition.process.stdin, shown.stdout, shown.stderr].map(stream)
}

/// Starts a helper of a container, and returns once it can be asked: its monitor, and the
/// link to it. The helper goes when the link is closed.
///
/// # Errors
/// [`files::Error`](super::files::Error) when there is none.
pub fn helper(order: &Order) -> Result<(Child, Connection), super::files::Error> {
    let (mut link, theirs) = UnixStream::pair()?;
    let streams = standard_streams(order, Outputs::BOTH);
    let mut monitor = spawn(OwnedFd::from(theirs), streams, None)?;
    if let Err(e) = report::send(&mut link, order) {
        tracing::debug!("the monitor did not take its order: {e}");
    }
    let mut connection = Connection::over(link);
    loop {
        let report = match connection.receive() {
            Ok(frames) if frames.contains(&Frame::Message(ToClient::Started)) => {
                return Ok((monitor, connection));
            }
            Ok(frames) => frames.into_iter().find_map(|frame| match frame {
                Frame::Message(ToClient::Ended(report)) => Some(report),
                _ => None,
            }),
            Err(e) => {
                monitor.wait()?;
                return Err(super::files::Error::Helper(monitor_died(&order.plan, &e)));
            }
        };
        if let Some(report) = report {
            monitor.wait()?;
            return Err(super::files::Error::Helper(report));
        }
    }
}

/// Starts this binary again as `vxn monitor`, with one socket besides the three
/// standard streams.
/// `log` is what it says of itself on stderr, in the words of `VXN_LOG`.
pub(super) fn spawn(theirs: OwnedFd, streams: [Stdio; 3], log: Option<&str>) -> io::Result<Child> {
    fcntl(&theirs, FcntlArg::F_SETFD(FdFlag::empty()))?;
    let mut monitor = tool::this_program()?;
    monitor.args(["monitor", "--link", &theirs.as_raw_fd().to_string()]);
    monitor.envs(log.map(|log| ("VXN_LOG", log)));
    let [stdin, stdout, stderr] = streams;
    monitor.stdin(stdin).stdout(stdout).stderr(stderr);
    monitor.spawn()
}

/// The monitor ended without a word: what it had made is removed here.
pub(super) fn monitor_died(plan: &Plan, error: &Error) -> Report {
    let report = Report::failed(ENGINE_FAILED, error.to_string());
    match reap::abandoned(&plan.run) {
        Ok(_) => report,
        Err(e) => report.with_hint(Some(format!("some of it may be left: {e}"))),
    }
}
