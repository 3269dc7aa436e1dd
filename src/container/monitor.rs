//! The process that owns one DomU: creates it, attends it, destroys it.
//!
//! It is the same binary, re-executed by the front as `vxn monitor`, in a
//! session of its own so that the terminal's Ctrl-C reaches it only through the
//! front. It inherits the user's stdin, stdout and stderr. The socket to the
//! front carries the plan in, the report out, and, by its end, the news that
//! the front is dead.

use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

use super::attend::{Attendance, Inlets};
use super::console::ConsoleLog;
use super::journal::{self, Journal, Record};
use super::network::Connection;
use super::plan::{self, Plan};
use super::report::{self, ENGINE_FAILED, Report};
use crate::guest::Channel;
use crate::libxl::{self, Ctx, DomId};
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

/// Blocks the forwarded signals and makes them readable instead.
pub fn signal_fd() -> nix::Result<SignalFd> {
    let set: SigSet = FORWARDED.into_iter().collect();
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
            Error::Channel(_) => Some(
                "`modprobe xen-gntalloc xen-evtchn`; `vxn check` says what else is missing".into(),
            ),
            Error::Journal(journal::Error::NameTaken { .. }) => {
                Some("pick another --name, or end that container first".into())
            }
            Error::Journal(_) | Error::Io { .. } => None,
        }
    }
}

fn io_error(what: &'static str) -> impl Fn(io::Error) -> Error {
    move |source| Error::Io { what, source }
}

/// Runs one container for the front at the other end of `link`.
pub fn main(mut link: UnixStream) -> ExitCode {
    // The front made this process its child; it cannot lead a group yet.
    if let Err(e) = nix::unistd::setsid() {
        tracing::debug!("setsid: {e}");
    }
    let plan: Plan = match report::receive(&mut link) {
        Ok(plan) => plan,
        Err(e) => {
            tracing::error!("no plan from the front: {e}");
            return ExitCode::from(ENGINE_FAILED);
        }
    };
    let report = run(&plan, &link)
        .unwrap_or_else(|e| Report::failed(ENGINE_FAILED, e.to_string()).with_hint(e.hint()));
    if let Err(e) = report::send(&mut link, &report) {
        tracing::debug!("the front is gone: {e}");
    }
    ExitCode::from(report.code)
}

/// A transaction: the journal's entry first, and nothing left behind it.
fn run(plan: &Plan, link: &UnixStream) -> Result<Report, Error> {
    let signals = signal_fd().map_err(|e| io_error("signals")(e.into()))?;
    let journal = Journal::open(&plan.run)?;
    let entry = journal.enter(&Record {
        id: plan.id.clone(),
        name: plan.name.clone(),
        uuid: plan.uuid,
        monitor: std::process::id(),
        image: Some(plan.image),
    })?;
    let result = with_network(plan, &Inlets { front: link.as_fd(), signals: &signals });
    match result {
        // The entry stays: what could not be destroyed is the next command's.
        Err(Leftover(e)) => Err(e),
        Ok(result) => {
            entry.remove()?;
            result
        }
    }
}

/// The DomU could not be destroyed.
struct Leftover(Error);

/// On the network for as long as the DomU is there.
fn with_network(plan: &Plan, inlets: &Inlets<'_>) -> Result<Result<Report, Error>, Leftover> {
    let Plan { id, networks, network, hostname, .. } = plan;
    let connection = match Connection::open(networks, network, id, plan.domain_name(), hostname) {
        Ok(connection) => connection,
        Err(e) => return Ok(Err(e.into())),
    };
    let result = with_domain(plan, &connection, inlets)?;
    connection.close().map_err(|e| Leftover(e.into()))?;
    Ok(result)
}

fn with_domain(
    plan: &Plan,
    connection: &Connection<'_>,
    inlets: &Inlets<'_>,
) -> Result<Result<Report, Error>, Leftover> {
    let created = Ctx::open().map_err(Error::from).and_then(|ctx| {
        let domid = create(&ctx, plan, connection)?;
        Ok((ctx, domid))
    });
    let (ctx, domid) = match created {
        Ok(created) => created,
        Err(e) => return Ok(Err(e)),
    };
    let result = attend(&ctx, plan, domid, connection, inlets);
    match ctx.destroy(domid) {
        Ok(()) => Ok(result),
        Err(e) => Err(Leftover(e.into())),
    }
}

/// Creates the DomU, paused.
fn create(ctx: &Ctx, plan: &Plan, connection: &Connection<'_>) -> Result<DomId, Error> {
    let config = plan.domain(&ctx.host()?, connection.nics(&plan.hotplug))?;
    ctx.check_memory(&config)?;
    Ok(ctx.create_paused(&config)?)
}

/// Brings the DomU to life and stays with it to the end.
fn attend(
    ctx: &Ctx,
    plan: &Plan,
    domid: DomId,
    connection: &Connection<'_>,
    inlets: &Inlets<'_>,
) -> Result<Report, Error> {
    let channel = Channel::serve(domid.0)?;
    let tty = ctx.console_tty(domid)?;
    let console = ConsoleLog::open(&tty).map_err(io_error("the DomU's console"))?;
    let _death = ctx.watch_death(domid)?;
    let attendance = Attendance::new(plan, ctx, domid, connection, channel, console)
        .map_err(io_error("the streams of the container"))?;
    ctx.unpause(domid)?;
    Ok(attendance.run(inlets))
}
