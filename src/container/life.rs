//! The lives of a container under one monitor: create the DomU, attend it,
//! destroy it, and again if the restart policy says so.

use std::time::{Duration, Instant};

use vxn_proto::WindowSize;

use super::attend::Attendance;
use super::condition::{Phase, Recorded};
use super::console::ConsoleLog;
use super::control::{Heard, ToClient, ToMonitor};
use super::desk::Desk;
use super::journal::Entry;
use super::monitor::{Error, io_error};
use super::network::Connection;
use super::plan::Plan;
use super::report::Report;
use super::restart::Backoff;
use super::shares::Shares;
use super::store::Containers;
use crate::guest::Channel;
use crate::libxl::{Ctx, DomId, Uuid};
use crate::volume::Volumes;

/// How it all ended.
#[derive(Debug)]
pub struct Outcome {
    /// The end of the last life.
    pub report: Report,
    /// A DomU could not be destroyed.
    pub leftover: bool,
}

/// Runs life after life; the first is in the journal already. A terminal has `size` at first.
pub fn all(
    plan: &mut Plan,
    desk: &mut Desk,
    entry: &Entry,
    store: &Containers,
    size: Option<WindowSize>,
) -> Outcome {
    let mut backoff = Backoff::default();
    let ctx = match Ctx::open() {
        Ok(ctx) => ctx,
        Err(e) => return Outcome { report: Error::from(e).report(), leftover: false },
    };
    loop {
        let began = Instant::now();
        let lived = prepare(plan, desk, store)
            .map_err(Death::Plain)
            .and_then(|()| one(&ctx, plan, desk, size));
        let (report, leftover) = match lived {
            Ok(report) => (report, false),
            Err(Death::Plain(e)) => (e.report(), false),
            Err(Death::Leftover(e)) => (e.report(), true),
        };
        refresh(plan, store);
        let policy = plan.definition.restart;
        let restarts = desk.live().restarts;
        // What could not be started at all is no better the next time.
        let lived = desk.live().started.is_some() && !leftover;
        if !lived || desk.by_user || !policy.again(report.code, restarts) {
            return Outcome { report, leftover };
        }
        tracing::info!("starting the container again, by its policy {policy}");
        match pause(&ctx, desk, backoff.next(began.elapsed())) {
            Ok(true) => {}
            Ok(false) => return Outcome { report, leftover },
            Err(e) => return Outcome { report: e.report(), leftover },
        }
        plan.uuid = Uuid::random();
        refresh(plan, store);
        if let Err(e) = entry.record(&plan.record()) {
            return Outcome { report: Error::from(e).report(), leftover };
        }
    }
}

/// The container may have been renamed or updated meanwhile.
pub(super) fn refresh(plan: &mut Plan, store: &Containers) {
    if let Ok(definition) = store.load(&plan.definition.id) {
        plan.definition = definition;
    }
}

/// Writes down what is about to be.
fn prepare(plan: &Plan, desk: &mut Desk, store: &Containers) -> Result<(), Error> {
    if plan.helper {
        return Ok(());
    }
    let definition = &plan.definition;
    store.record(&definition.id, &Recorded::Alive)?;
    let told = desk.tell(|live| (live.phase, live.domid) = (Phase::Starting, None));
    told.map_err(io_error("the state of the container"))
}

enum Death {
    /// The life failed, and left nothing.
    Plain(Error),
    /// The DomU could not be destroyed.
    Leftover(Error),
}

impl<E: Into<Error>> From<E> for Death {
    fn from(e: E) -> Death {
        Death::Plain(e.into())
    }
}

/// One life, a transaction: the DomU and its place on the network are gone after it.
fn one(ctx: &Ctx, plan: &Plan, desk: &mut Desk, size: Option<WindowSize>) -> Result<Report, Death> {
    let mut connection = Connection::open(&plan.networks, &plan.definition)?;
    let result = on_network(ctx, plan, desk, &mut connection, size);
    if !matches!(result, Err(Death::Leftover(_))) {
        connection.close().map_err(|e| Death::Leftover(e.into()))?;
    }
    result
}

/// The DomU from its creation to its end.
fn on_network(
    ctx: &Ctx,
    plan: &Plan,
    desk: &mut Desk,
    connection: &mut Connection,
    size: Option<WindowSize>,
) -> Result<Report, Death> {
    let domid = create(ctx, plan, connection)?;
    // They are served for as long as there is a guest, and no disk that hangs keeps it.
    let mut shares = None;
    let connected = connection.connect(domid).map_err(Error::from);
    let result = connected
        .and_then(|()| serve(plan, domid))
        .and_then(|served| attend(ctx, plan, desk, domid, connection, shares.insert(served), size));
    ctx.destroy(domid).map_err(|e| Death::Leftover(e.into()))?;
    Ok(result?)
}

/// Creates the DomU, paused.
fn create(ctx: &Ctx, plan: &Plan, connection: &Connection) -> Result<DomId, Error> {
    let config = plan.domain(&ctx.host()?, connection.nics(&plan.hotplug))?;
    ctx.check_memory(&config)?;
    Ok(ctx.create_paused(&config)?)
}

/// What of this host the DomU has.
fn serve(plan: &Plan, domid: DomId) -> Result<Shares, Error> {
    let volumes = Volumes::new(&plan.root);
    Ok(Shares::serve(domid.0, &plan.definition.mounts, &volumes)?)
}

/// Brings the DomU to life and stays with it to the end.
fn attend(
    ctx: &Ctx,
    plan: &Plan,
    desk: &mut Desk,
    domid: DomId,
    connection: &mut Connection,
    shares: &Shares,
    size: Option<WindowSize>,
) -> Result<Report, Error> {
    let told = desk.tell(|live| live.domid = Some(domid.0));
    told.map_err(io_error("the state of the container"))?;
    let channel = Channel::serve(domid.0)?;
    let tty = ctx.console_tty(domid)?;
    let console = ConsoleLog::open(&tty).map_err(io_error("the DomU's console"))?;
    let _death = ctx.watch_death(domid)?;
    let ends = (channel, console, shares);
    let attendance = Attendance::new(plan, ctx, desk, domid, connection, ends, size)
        .map_err(io_error("the streams of the container"))?;
    ctx.unpause(domid)?;
    Ok(attendance.run())
}

/// Waits before the next life, and hears the clients meanwhile. Returns whether
/// there is to be one.
fn pause(ctx: &Ctx, desk: &mut Desk, pause: Duration) -> Result<bool, Error> {
    let told = desk.tell(|live| {
        (live.phase, live.domid) = (Phase::Restarting, None);
        live.restarts += 1;
    });
    told.map_err(io_error("the state of the container"))?;
    let until = Instant::now() + pause;
    while !desk.by_user {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(true);
        }
        desk.clients.flush();
        ctx.poll_each(&desk.clients.interest(), Some(left))?;
        hear(desk);
        desk.by_user |= desk.signals.read_signal().is_ok_and(|signal| signal.is_some());
    }
    Ok(false)
}

/// Between two lives there is nothing but the wish for no other.
fn hear(desk: &mut Desk) {
    for (client, heard) in desk.clients.hear() {
        match heard {
            Heard::Message(ToMonitor::Stop { .. } | ToMonitor::Destroy) => desk.by_user = true,
            Heard::Message(ToMonitor::Attach { stdin, .. }) => {
                desk.watchers.insert(client, stdin);
                desk.clients.tell(client, &ToClient::Done);
            }
            Heard::Message(ToMonitor::Leave) | Heard::Gone => {
                let died = matches!(heard, Heard::Gone);
                desk.watchers.remove(&client);
                if desk.is_front(client) {
                    desk.front = None;
                    desk.by_user |= died;
                }
            }
            Heard::Message(
                ToMonitor::Signal { .. }
                | ToMonitor::Pause
                | ToMonitor::Unpause
                | ToMonitor::Start
                | ToMonitor::Exec { .. }
                | ToMonitor::Files(_)
                | ToMonitor::Connect(_)
                | ToMonitor::Disconnect(_),
            ) => {
                let message = "the container is waiting to be started again".to_owned();
                desk.clients.tell(client, &ToClient::Refused { message });
            }
            Heard::Message(_) | Heard::Stdin(_) | Heard::StdinEnd => {}
        }
    }
}
