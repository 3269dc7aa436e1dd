//! The process that owns one container for as long as it lives.
//!
//! It is the same binary, re-executed as `vxn monitor` by the command that starts
//! the container, in a session of its own so that the terminal's Ctrl-C reaches
//! it only through that command. The socket between the two carries the order;
//! after that the command is a client like any other, but for its death, which is
//! the container's unless it has taken its leave.

use std::io::{self, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::ExitCode;

use jiff::Timestamp;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

use super::apart::Apart;
use super::condition::{Ended, Recorded};
use super::control::{self, Clients, ToClient};
use super::desk::Desk;
use super::hold;
use super::journal::{self, Entry, Journal};
use super::life::{self, Outcome};
use super::log::{self, Writer};
use super::order::{Attach, Order};
use super::plan::{self, Plan};
use super::report::{self, ENGINE_FAILED, Report};
use super::shares;
use super::store::{self, Containers};
use super::terminal;
use crate::guest;
use crate::libxl;
use crate::network;

/// Signals that are passed on to the process.
pub const FORWARDED: [Signal; 6] = [
    Signal::SIGHUP,
    Signal::SIGINT,
    Signal::SIGQUIT,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGTERM,
];

/// Blocks the forwarded signals, and `more`, and makes them readable instead.
pub fn signal_fd(more: &[Signal]) -> nix::Result<SignalFd> {
    let set: SigSet = FORWARDED.iter().chain(more).copied().collect();
    set.thread_block()?;
    SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)
}

/// Why no container came to be.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The journal.
    #[error(transparent)]
    Journal(#[from] journal::Error),
    /// The store.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// What was asked for is impossible here.
    #[error(transparent)]
    Plan(#[from] plan::Error),
    /// The network.
    #[error(transparent)]
    Network(#[from] network::Error),
    /// libxl.
    #[error(transparent)]
    Libxl(#[from] libxl::Error),
    /// The channel to the guest.
    #[error("cannot offer the guest a channel: {0}")]
    Channel(#[from] xen_vchan::Error),
    /// What of this host the container is to have.
    #[error(transparent)]
    Share(#[from] shares::Error),
    /// The system.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// The system's words.
        source: io::Error,
    },
}

impl Error {
    fn hint(&self) -> Option<String> {
        match self {
            Error::Plan(e) => Some(e.hint().to_owned()),
            Error::Network(e) => e.hint(),
            Error::Libxl(e) => e.hint().map(str::to_owned),
            Error::Channel(e) => Some(guest::channel_hint(e)),
            Error::Store(e) => e.hint(),
            Error::Share(e) => e.hint(),
            Error::Journal(journal::Error::Busy(_)) => {
                Some("another command has it: try again when that is done".to_owned())
            }
            Error::Journal(_) | Error::Io { .. } => None,
        }
    }

    /// The failure as the command shows it.
    pub fn report(&self) -> Report {
        Report::failed(ENGINE_FAILED, self.to_string()).with_hint(self.hint())
    }
}

/// For `map_err`: what was tried.
pub fn io_error(what: &'static str) -> impl Fn(io::Error) -> Error {
    move |source| Error::Io { what, source }
}

/// Runs one container for the command at the other end of `link`.
pub fn main(mut link: UnixStream) -> ExitCode {
    // The command made this process its child; it cannot lead a group yet.
    if let Err(e) = nix::unistd::setsid() {
        tracing::debug!("setsid: {e}");
    }
    let order: Order = match report::receive(&mut link) {
        Ok(order) => order,
        Err(e) => {
            tracing::error!("no order for the monitor: {e}");
            return ExitCode::from(ENGINE_FAILED);
        }
    };
    if matches!(order.attach, Attach::Detached | Attach::Held) {
        // Whoever started it may want to unmount where they did.
        if let Err(e) = std::env::set_current_dir("/") {
            tracing::debug!("chdir: {e}");
        }
    }
    if order.attach == Attach::Held && order.plan.definition.process.tty {
        if let Err(e) = terminal::take() {
            tracing::debug!("the terminal tells of no new size: {e}");
        }
    }
    match Monitor::new(order) {
        Ok(monitor) => ExitCode::from(monitor.run(link)),
        Err(e) => {
            let mut bytes = Vec::new();
            let ended = ToClient::Ended(e.report());
            let told = vxn_proto::encode_message(&ended, &mut bytes).map_err(io::Error::other);
            if let Err(e) = told.and_then(|()| link.write_all(&bytes)) {
                tracing::debug!("the command is gone: {e}");
            }
            ExitCode::from(ENGINE_FAILED)
        }
    }
}

/// A monitor that has its container for itself.
struct Monitor {
    order: Order,
    store: Containers,
    entry: Entry,
    desk: Desk,
    /// The network namespace that its caller prepares, while it is held.
    apart: Option<Apart>,
}

impl Monitor {
    /// Takes the container, which may have to be created first. Nothing is left
    /// behind by a failure.
    fn new(order: Order) -> Result<Monitor, Error> {
        let more: &[Signal] = if order.attach == Attach::Held { &hold::SIGNALS } else { &[] };
        let signals = signal_fd(more).map_err(|e| io_error("signals")(e.into()))?;
        let plan = &order.plan;
        let store = Containers::new(&plan.root);
        let entry = Journal::open(&plan.run)?.enter(&plan.record())?;
        let opened = Monitor::open(&order, &store, &entry, signals)
            .and_then(|desk| Ok((desk, apart(&order)?)));
        match opened {
            Ok((desk, apart)) => Ok(Monitor { order, store, entry, desk, apart }),
            Err(e) => {
                entry.remove()?;
                Err(e)
            }
        }
    }

    fn open(
        order: &Order,
        store: &Containers,
        entry: &Entry,
        signals: SignalFd,
    ) -> Result<Desk, Error> {
        let definition = &order.plan.definition;
        if order.create {
            store.add(definition)?;
        }
        let listen =
            |path: PathBuf| Clients::listen(&path).map_err(io_error("the monitor's socket"));
        if order.plan.helper {
            // Whoever looks for the container's monitor is to find that there is none.
            let clients = listen(control::helper_socket(entry.path()))?;
            return Ok(Desk::new(clients, signals, None, None));
        }
        let clients = listen(control::socket(entry.path()))?;
        let log = log::directory(&store.home(&definition.id));
        let log = Writer::open(&log, definition.log).map_err(io_error("the container's log"))?;
        Ok(Desk::new(clients, signals, log, Some(entry.path().to_owned())))
    }

    /// Runs the container to its end, and tells everybody. Returns its code.
    fn run(mut self, link: UnixStream) -> u8 {
        let size = self.welcome(link);
        let Outcome { report, leftover } = self.live(size);
        let (desk, entry) = (self.desk, self.entry);
        if let Err(e) = settle(&self.store, &self.order.plan, &report, &desk) {
            tracing::error!("{e}");
        }
        // What could not be destroyed is the next command's: the entry stays.
        if !leftover {
            if let Err(e) = entry.remove() {
                tracing::error!("{e}");
            }
        }
        let code = report.code;
        let mut clients = desk.clients;
        // Nobody comes any more, but some may have come since the last look.
        clients.accept();
        let ended = ToClient::Ended(report);
        clients.ids().into_iter().for_each(|id| clients.tell(id, &ended));
        clients.finish();
        code
    }

    /// The container's lives; none if it is held and never started.
    fn live(&mut self, size: Option<vxn_proto::WindowSize>) -> Outcome {
        let plan = &mut self.order.plan;
        let mut size = size;
        if self.desk.held {
            match hold::until_started(&mut self.desk) {
                Ok(None) => size = terminal::size(),
                Ok(Some(report)) => return Outcome { report, leftover: false },
                Err(e) => return Outcome { report: e.report(), leftover: false },
            }
            // It may have been updated while it waited.
            life::refresh(plan, &self.store);
        }
        let prepared = self.apart.take().map(Apart::leave).transpose();
        let prepared = match prepared.map_err(io_error("the return to the host's network")) {
            Ok(prepared) => prepared,
            Err(e) => return Outcome { report: e.report(), leftover: false },
        };
        if let Some(prepared) = &prepared {
            plan.definition.network.namespace = Some(prepared.path());
        }
        life::all(plan, &mut self.desk, &self.entry, &self.store, size)
    }

    /// Makes the command that has started the monitor the first client.
    fn welcome(&mut self, link: UnixStream) -> Option<vxn_proto::WindowSize> {
        let front = match self.desk.clients.adopt(link) {
            Ok(front) => front,
            Err(e) => {
                tracing::error!("the link to the command: {e}");
                return None;
            }
        };
        self.desk.front = Some(front);
        match self.order.attach {
            Attach::Detached => None,
            Attach::Inherited => {
                self.desk.inherited = true;
                None
            }
            Attach::Held => {
                (self.desk.inherited, self.desk.held) = (true, true);
                self.desk.clients.tell(front, &ToClient::Done);
                None
            }
            Attach::Carried { stdin, size } => {
                self.desk.watchers.insert(front, stdin);
                size
            }
        }
    }
}

/// A namespace for the caller to prepare, if it has prepared none.
fn apart(order: &Order) -> Result<Option<Apart>, Error> {
    let network = &order.plan.definition.network;
    let wanted = order.attach == Attach::Held && network.namespace.is_none();
    let apart = wanted.then(Apart::enter).transpose();
    apart.map_err(io_error("a network namespace for the container"))
}

/// Writes down how it ended; a `--rm` container goes altogether. A helper's end is none
/// of the container's.
fn settle(
    store: &Containers,
    plan: &Plan,
    report: &Report,
    desk: &Desk,
) -> Result<(), store::Error> {
    let id = &plan.definition.id;
    if plan.helper {
        return Ok(());
    }
    if plan.definition.remove {
        return store.remove(id);
    }
    let live = desk.live();
    let ended = Ended {
        code: report.code,
        error: report.error.clone(),
        started: live.started,
        finished: Timestamp::now(),
        restarts: live.restarts,
        by_user: desk.by_user,
        oom_killed: report.oom_killed,
    };
    store.record(id, &Recorded::Exited(ended))
}
