//! A verb's side: starts a DomU's monitor, finds it, asks it.

use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::console::open_log;
use super::message::{Answer, Info, Request};
use super::monitor::{SOCKET, Started};
use super::order::{Mode, Order};
use crate::container::journal::{self, Journal};
use crate::container::{Name, report};
use crate::tool;

/// Why a verb has no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The journal.
    #[error(transparent)]
    Journal(#[from] journal::Error),
    /// There is no such DomU.
    #[error("there is no DomU {0}")]
    None(Name),
    /// The monitor has no socket yet.
    #[error("the DomU {0} is being made")]
    Starting(Name),
    /// There is none now.
    #[error("{0}")]
    NotStarted(String, Option<String>),
    /// The DomU ended before it answered, or its monitor was killed.
    #[error("the monitor of the DomU {0} has ended; the next vxn command removes what is left")]
    MonitorGone(Name),
    /// It could not be done.
    #[error("{0}")]
    Failed(String),
    /// No answer in time.
    #[error("no answer within {} s", .0.as_secs())]
    TimedOut(Duration),
    /// The system.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// The system's words.
        source: io::Error,
    },
}

impl Error {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Error::NotStarted(_, hint) => hint.clone(),
            _ => None,
        }
    }
}

fn io_error(what: impl Into<String>) -> impl FnOnce(io::Error) -> Error {
    let what = what.into();
    move |source| Error::Io { what, source }
}

/// Starts the DomU. The monitor keeps to it; with [`Mode::Foreground`] only for as
/// long as the returned socket is open.
pub fn start(order: &Order) -> Result<(Info, UnixStream), Error> {
    let (mut link, theirs) = UnixStream::pair().map_err(io_error("a socket"))?;
    let mut monitor = spawn(order, OwnedFd::from(theirs))?;
    let started = report::send(&mut link, order).and_then(|()| report::receive(&mut link));
    match started {
        Ok(Started::Running(info)) => Ok((info, link)),
        Ok(Started::Failed(why, hint)) => {
            monitor.wait().map_err(io_error("the monitor"))?;
            Err(Error::NotStarted(why, hint))
        }
        Err(_) => Err(Error::MonitorGone(order.name.clone())),
    }
}

fn spawn(order: &Order, theirs: OwnedFd) -> Result<std::process::Child, Error> {
    let inherit = || {
        fcntl(&theirs, FcntlArg::F_SETFD(FdFlag::empty()))?;
        tool::this_program()
    };
    let mut monitor = inherit().map_err(io_error("this program"))?;
    let link = theirs.as_raw_fd().to_string();
    monitor.args(["--verbose", "backend", "monitor", "--link", &link]);
    let stderr = match &order.mode {
        Mode::Daemon { log } | Mode::Capture { log } => {
            let what = format!("cannot open the log {}", log.display());
            Stdio::from(open_log(log).map_err(io_error(what))?)
        }
        Mode::Foreground => Stdio::inherit(),
    };
    monitor.stdin(Stdio::null()).stdout(Stdio::null()).stderr(stderr);
    monitor.spawn().map_err(io_error("cannot start the DomU's monitor"))
}

/// The monitor of a DomU that runs.
#[derive(Debug)]
pub struct Link {
    name: Name,
    stream: UnixStream,
}

impl Link {
    /// Connects; `None` if there is no such DomU.
    pub fn find(run: &Path, name: &Name) -> Result<Option<Link>, Error> {
        let journal = super::journal(run);
        if !journal.exists() {
            return Ok(None);
        }
        let Some(dir) = Journal::open(&journal)?.holder(name)? else { return Ok(None) };
        let socket = dir.join(SOCKET);
        match UnixStream::connect(&socket) {
            Ok(stream) => Ok(Some(Link { name: name.clone(), stream })),
            // It listens until its entry is gone: it was killed just now.
            Err(e) if e.kind() == io::ErrorKind::ConnectionRefused => {
                Err(Error::MonitorGone(name.clone()))
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound && dir.exists() => {
                Err(Error::Starting(name.clone()))
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(io_error(format!("cannot connect to {}", socket.display()))(e)),
        }
    }

    /// The same where there has to be one.
    pub fn open(run: &Path, name: &Name) -> Result<Link, Error> {
        Link::find(run, name)?.ok_or_else(|| Error::None(name.clone()))
    }

    /// Asks; `output` gets what the command prints, as it comes. Without a limit
    /// it waits for as long as the command runs.
    pub fn ask(
        &mut self,
        request: &Request,
        limit: Option<Duration>,
        output: &mut dyn FnMut(&[u8]) -> io::Result<()>,
    ) -> Result<Answer, Error> {
        let gone = || Error::MonitorGone(self.name.clone());
        report::send(&mut self.stream, request).map_err(|_| gone())?;
        let deadline = limit.map(|limit| Instant::now() + limit);
        let timed_out = || Error::TimedOut(limit.unwrap_or_default());
        loop {
            if !self.readable(deadline)? {
                return Err(timed_out());
            }
            match report::receive(&mut self.stream) {
                Ok(Answer::Output(bytes)) => output(&bytes).map_err(io_error("the output"))?,
                Ok(Answer::Failed(why)) => return Err(Error::Failed(why)),
                Ok(answer) => return Ok(answer),
                Err(_) => return Err(gone()),
            }
        }
    }

    /// Asks for something that prints nothing.
    pub fn tell(&mut self, request: &Request) -> Result<Answer, Error> {
        self.ask(request, None, &mut |_| Ok(()))
    }

    /// Waits until the DomU and all that belongs to it is gone; `false` if it is
    /// not by the deadline.
    pub fn wait_end(&mut self, deadline: Option<Instant>) -> Result<bool, Error> {
        let mut unread = [0; 256];
        while self.readable(deadline)? {
            match self.stream.read(&mut unread) {
                Ok(0) | Err(_) => return Ok(true),
                Ok(_) => {}
            }
        }
        Ok(false)
    }

    fn readable(&self, deadline: Option<Instant>) -> Result<bool, Error> {
        loop {
            let left = deadline.map(|until| until.saturating_duration_since(Instant::now()));
            let timeout = left.map_or(PollTimeout::NONE, |left| {
                PollTimeout::try_from(left.as_micros().div_ceil(1000)).unwrap_or(PollTimeout::MAX)
            });
            let mut fds = [PollFd::new(self.stream.as_fd(), PollFlags::POLLIN)];
            match poll(&mut fds, timeout) {
                Ok(0) if left.is_some_and(|left| left.is_zero()) => return Ok(false),
                Ok(0) | Err(Errno::EINTR) => {}
                Ok(_) => return Ok(true),
                Err(e) => return Err(io_error("poll")(e.into())),
            }
        }
    }
}

/// How long the guest's init may take to power off, before its kernel is asked.
const INIT: Duration = Duration::from_secs(5);
/// How long the kernel may take then: `hv_stop_vm` of the seed waits as long.
const KERNEL: Duration = Duration::from_secs(15);

/// How a DomU was stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stopped {
    /// There was none.
    Already,
    /// It powered itself off.
    Cleanly,
    /// It did not, and was destroyed.
    Destroyed,
}

/// Powers the guest off; destroys the DomU if that does not help. Returns when it
/// and all that belongs to it is gone.
pub fn stop(run: &Path, name: &Name) -> Result<Stopped, Error> {
    let Some(mut watch) = Link::find(run, name)? else { return Ok(Stopped::Already) };
    let steps = [(Request::Shutdown { when_idle: false }, INIT), (Request::PowerOff, KERNEL)];
    for (request, patience) in steps {
        // Each on a connection of its own: the first may have ended it already.
        if let Some(mut link) = Link::find(run, name)? {
            match link.tell(&request) {
                Ok(_) | Err(Error::MonitorGone(_)) => {}
                Err(e) => return Err(e),
            }
        }
        if watch.wait_end(Some(Instant::now() + patience))? {
            return nothing_left(run, name).map(|()| Stopped::Cleanly);
        }
    }
    destroy(run, name).map(|_| Stopped::Destroyed)
}

/// Destroys the DomU; returns whether there was one, when it is gone.
pub fn destroy(run: &Path, name: &Name) -> Result<bool, Error> {
    let Some(mut link) = Link::find(run, name)? else { return Ok(false) };
    match link.tell(&Request::Destroy) {
        Ok(_) | Err(Error::MonitorGone(_)) => {}
        Err(e) => return Err(e),
    }
    let ended = link.wait_end(None)?;
    nothing_left(run, name).map(|()| ended)
}

/// A monitor that could not remove all leaves its entry, and says why in its log.
fn nothing_left(run: &Path, name: &Name) -> Result<(), Error> {
    match Journal::open(&super::journal(run))?.holder(name)? {
        None => Ok(()),
        Some(_) => Err(Error::MonitorGone(name.clone())),
    }
}
