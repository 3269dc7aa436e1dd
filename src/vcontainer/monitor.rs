//! The process that makes one DomU and stays with it to its end.
//!
//! It is this program again, in a session of its own, with a socket to the verb
//! that started it: the order comes in, [`Started`] goes out. A verb that waits
//! for the DomU keeps the socket; its end is then the DomU's.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use nix::sys::signalfd::SignalFd;
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use serde::{Deserialize, Serialize};

use super::attend::{Attendance, Inlets};
use super::client::Client;
use super::console::Console;
use super::message::Info;
use super::net::Connection;
use super::order::{self, Mode, Order};
use crate::container::console::lock;
use crate::container::journal::{self, Journal, Record};
use crate::container::{monitor, report};
use crate::libxl::{self, Ctx, DeathWatch, DomId};
use crate::network::{self, Networks};

/// Name of the socket in the DomU's entry of the journal.
pub const SOCKET: &str = "socket";

/// What came of the order.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Started {
    /// The DomU runs.
    Running(Info),
    /// There is none: why, and what to do about it.
    Failed(String, Option<String>),
}

/// Why there is no DomU.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The journal.
    #[error(transparent)]
    Journal(#[from] journal::Error),
    /// What was asked for is impossible here.
    #[error(transparent)]
    Order(#[from] order::Error),
    /// libxl.
    #[error(transparent)]
    Libxl(#[from] libxl::Error),
    /// The network.
    #[error(transparent)]
    Network(#[from] network::Error),
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
            Error::Order(order::Error::Plan(e)) => Some(e.hint().to_owned()),
            Error::Order(_) => {
                Some("put the command into a script of the image, or use `vxn run`".to_owned())
            }
            Error::Libxl(e) => e.hint().map(str::to_owned),
            Error::Network(e) => e.hint(),
            Error::Journal(journal::Error::NameTaken { .. }) => {
                Some("stop that one first: `vxn backend stop NAME`".to_owned())
            }
            Error::Journal(_) | Error::Io { .. } => None,
        }
    }
}

pub(super) fn io_error(what: &'static str) -> impl Fn(io::Error) -> Error {
    move |source| Error::Io { what, source }
}

/// Runs one DomU for the verb at the other end of `link`.
pub fn main(mut link: UnixStream, networks: &Networks) -> io::Result<()> {
    // The verb made this process its child; it cannot lead a group yet.
    if let Err(e) = nix::unistd::setsid() {
        tracing::debug!("setsid: {e}");
    }
    nix::unistd::chdir("/")?;
    let order: Order = report::receive(&mut link)?;
    if let Err(e) = run(&order, networks, &mut link) {
        tracing::error!("{e}");
        report::send(&mut link, &Started::Failed(e.to_string(), e.hint()))?;
    }
    Ok(())
}

/// A transaction: the journal's entry first, and nothing left behind it.
fn run(order: &Order, networks: &Networks, link: &mut UnixStream) -> Result<(), Error> {
    let signals = monitor::signal_fd(&[]).map_err(|e| io_error("signals")(e.into()))?;
    let owner = owner(order)?;
    let journal = Journal::open(&super::journal(&order.run))?;
    let entry = journal.enter(&Record {
        id: order.id.clone(),
        name: Some(order.name.clone()),
        uuid: order.uuid,
        monitor: std::process::id(),
        root: None,
        namespace: None,
    })?;
    // To the very end: who connects too late waits for it too.
    let listener = listen(&entry.path().join(SOCKET));
    let made = Ctx::open().map_err(Error::from).and_then(|ctx| {
        let listener = listener?;
        let connection = Connection::open(networks, order)?;
        match create(&ctx, order, &connection) {
            Ok(domid) => Ok((ctx, listener, connection, domid)),
            Err(e) => {
                connection.release()?;
                Err(e)
            }
        }
    });
    let (ctx, listener, connection, domid) = match made {
        Ok(made) => made,
        Err(e) => {
            entry.remove()?;
            return Err(e);
        }
    };
    let subject = Subject { order, ctx: &ctx, domid, connection: &connection };
    let attended = attend(&subject, &listener, link, (&signals, owner.as_ref()));
    // The entry stays if any of it does: the next command removes the rest.
    ctx.destroy(domid)?;
    connection.release()?;
    entry.remove()?;
    // Only now do those who wait for the end learn of it.
    attended?.into_iter().for_each(Client::finish);
    Ok(())
}

fn listen(socket: &Path) -> Result<UnixListener, Error> {
    let listener = UnixListener::bind(socket).map_err(io_error("the monitor's socket"))?;
    listener.set_nonblocking(true).map_err(io_error("the monitor's socket"))?;
    Ok(listener)
}

/// The process with which the DomU ends.
fn owner(order: &Order) -> Result<Option<OwnedFd>, Error> {
    let Some(pid) = order.owner else { return Ok(None) };
    let open = Pid::from_raw(pid).ok_or(Errno::SRCH);
    let owner = open.and_then(|pid| pidfd_open(pid, PidfdFlags::empty()));
    owner.map(Some).map_err(|e| io_error("the process that wants the DomU")(e.into()))
}

fn create(ctx: &Ctx, order: &Order, connection: &Connection<'_>) -> Result<DomId, Error> {
    let config = order.domain(&ctx.host()?, connection.nic(&order.hotplug))?;
    ctx.check_memory(&config)?;
    Ok(ctx.create_paused(&config)?)
}

/// The DomU and what belongs to it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Subject<'a> {
    pub order: &'a Order,
    pub ctx: &'a Ctx,
    pub domid: DomId,
    pub connection: &'a Connection<'a>,
}

/// Brings the DomU to life and stays with it; returns who is still to be told.
fn attend(
    subject: &Subject<'_>,
    listener: &UnixListener,
    link: &mut UnixStream,
    (signals, owner): (&SignalFd, Option<&OwnedFd>),
) -> Result<Vec<Client>, Error> {
    let Subject { order, ctx, domid, connection } = *subject;
    let tty = ctx.console_tty(domid)?;
    let console = match order.mode {
        Mode::Foreground => None,
        Mode::Daemon { .. } | Mode::Capture { .. } => {
            let open = lock(domid).and_then(|lock| Console::open(&tty, lock));
            Some(open.map_err(io_error("the DomU's console"))?)
        }
    };
    let watch: DeathWatch = ctx.watch_death(domid)?;
    let dhcp = connection.dhcp().map_err(io_error("cannot answer DHCP on the bridge"))?;
    let addresses = connection.addresses();
    let info = Info { domid, pid: std::process::id(), tty, addresses, busy: false };
    let attendance = Attendance::new(*subject, info.clone(), console, dhcp)?;
    ctx.unpause(domid)?;
    report::send(link, &Started::Running(info)).map_err(io_error("nobody waits for the DomU"))?;
    // Whoever is in the foreground stays; the others are done.
    let front = matches!(order.mode, Mode::Foreground).then(|| link.as_fd());
    if front.is_none() {
        link.shutdown(std::net::Shutdown::Both).map_err(io_error("the verb"))?;
    }
    let owner = owner.map(AsFd::as_fd);
    let clients = attendance.run(&Inlets { listener, signals, lifelines: [front, owner] })?;
    drop(watch);
    Ok(clients)
}
