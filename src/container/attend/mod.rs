//! The monitor's poll loop: from the first instruction of the DomU to the last
//! byte of its process's output.

mod error;
mod feed;
mod files;
mod guest;
mod health;
mod look;
mod networks;
mod news;
mod outlet;
mod phase;
mod requests;
mod write_back;

use std::collections::BTreeMap;
use std::io;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::poll::PollFlags;
use nix::sys::signal::Signal;
use vxn_proto::{ProcessId, StreamKind, WindowSize};

pub use error::Error;

use super::console::ConsoleLog;
use super::control::ClientId;
use super::desk::Desk;
use super::network::Connection;
use super::plan::Plan;
use super::report::{ENGINE_FAILED, KILLED, Report};
use super::shares::Shares;
use super::streams::{Input, Mailbox, Output};
use crate::guest::{Channel, Rest, Session};
use crate::libxl::{Ctx, DomId};
use feed::Feed;
use health::Checks;
use look::Looks;
use networks::Changes;
use outlet::Outlet;
use phase::{Deadlines, Phase};
use write_back::Returning;

/// How long a guest that has closed its channel may take to go down, one whose
/// process has ended to end its streams, and a process to die of a SIGKILL.
const GRACE: Duration = Duration::from_secs(10);

/// One DomU being attended.
#[derive(Debug)]
pub struct Attendance<'a> {
    plan: &'a Plan,
    ctx: &'a Ctx,
    desk: &'a mut Desk,
    domid: DomId,
    connection: &'a mut Connection,
    /// What the guest knows of the network.
    told: vxn_proto::Network,
    changes: Changes,
    channel: Channel,
    shares: &'a Shares,
    session: Session,
    console: ConsoleLog,
    mailbox: Mailbox,
    input: Option<Input>,
    outlets: [Outlet; 2],
    feeds: BTreeMap<ClientId, Feed>,
    /// Processes besides the main one, and who is with them.
    others: BTreeMap<ProcessId, Other>,
    looks: Looks,
    checks: Checks,
    process: Option<ProcessId>,
    size: Option<WindowSize>,
    phase: Phase,
    deadlines: Deadlines,
    interrupts: u32,
    /// What the process has written, on its way back.
    returning: Option<Returning>,
    /// The user has asked for a stop, not only for a signal.
    stopping: bool,
    /// Whatever is left of the container is to go.
    removed: bool,
    report: Option<Report>,
}

/// A process besides the main one.
#[derive(Debug)]
struct Other {
    /// Who executes it, while they listen.
    client: Option<ClientId>,
    work: Work,
}

/// What a process besides the main one is for.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Work {
    /// A command of the container's.
    Command {
        /// What it executes, as it is told.
        words: String,
        /// The client listens only until it has started.
        detached: bool,
        tty: bool,
    },
    /// The container's files.
    Files,
    /// The return of what its process has written.
    WriteBack,
    /// A check of the container's health.
    HealthCheck,
}

impl<'a> Attendance<'a> {
    /// Takes over a DomU that is about to be unpaused. A terminal has `size`.
    pub fn new(
        plan: &'a Plan,
        ctx: &'a Ctx,
        desk: &'a mut Desk,
        domid: DomId,
        connection: &'a mut Connection,
        (channel, console, shares): (Channel, ConsoleLog, &'a Shares),
        size: Option<WindowSize>,
    ) -> io::Result<Attendance<'a>> {
        let mailbox = Mailbox::new()?;
        let local = |fd: std::os::fd::BorrowedFd<'_>, tag| {
            let ours = desk.inherited.then(|| fd.try_clone_to_owned()).transpose()?;
            ours.map(|fd| Output::spawn(fd, tag, &mailbox)).transpose()
        };
        let outlets = [
            Outlet::new(StreamKind::Stdout, local(io::stdout().as_fd(), 0)?),
            Outlet::new(StreamKind::Stderr, local(io::stderr().as_fd(), 1)?),
        ];
        let phase = Phase::Booting { until: Instant::now() + plan.boot_timeout };
        let mut attendance = Attendance {
            plan,
            ctx,
            desk,
            domid,
            connection,
            told: vxn_proto::Network::default(),
            changes: Changes::default(),
            channel,
            shares,
            session: Session::new(),
            console,
            mailbox,
            input: None,
            outlets,
            feeds: BTreeMap::new(),
            others: BTreeMap::new(),
            looks: Looks::default(),
            checks: Checks::default(),
            process: None,
            size,
            phase,
            deadlines: Deadlines::default(),
            interrupts: 0,
            returning: None,
            stopping: false,
            removed: false,
            report: None,
        };
        attendance.watch_again();
        Ok(attendance)
    }

    /// Runs until the process has ended and its output is written, or something
    /// ended it. The DomU may still be there.
    pub fn run(mut self) -> Report {
        let report = loop {
            match self.turn() {
                Ok(None) => {}
                Ok(Some(report)) => break report,
                Err(e) => break self.broken(e.to_string()),
            }
        };
        self.tell_end(&report);
        self.complain(&report);
        let puzzling = report.error.is_some() && report.code == ENGINE_FAILED;
        let console = self.close_console(puzzling);
        Report { console, ..report }
    }

    /// It cannot go on: the life ends, but for a process that has ended already as it has.
    fn broken(&self, why: String) -> Report {
        match &self.phase {
            Phase::Returning { report, .. } => self.not_returned(report, &why),
            _ => Report::failed(ENGINE_FAILED, why),
        }
    }

    fn turn(&mut self) -> Result<Option<Report>, Error> {
        let rest = self.listen()?;
        // Behind the guest's credit: nothing else may come that would wake us up for it.
        self.feed()?;
        self.settle()?;
        // The outputs may have been finished when the exit came. It may have something
        // to say to the guest, so it comes before all that is sent.
        self.complete()?;
        self.still_returning(rest);
        self.channel.send(self.session.outbox())?;
        self.desk.clients.flush();
        if self.report.is_none() {
            let called = self.wait(rest == Rest::More)?;
            self.deliver()?;
            if called {
                self.hear()?;
            }
            self.domain_events()?;
            self.meet_deadlines()?;
            self.complete()?;
        }
        Ok(self.report.take())
    }

    /// Sleeps until something happens, and serves what needs no other part. Returns
    /// whether a client wants something.
    fn wait(&mut self, busy: bool) -> Result<bool, Error> {
        let left = |until: Instant| until.saturating_duration_since(Instant::now());
        let timeout = if busy { Some(Duration::ZERO) } else { self.until().map(left) };
        let console = self.console.as_fd().unwrap_or(self.mailbox.as_fd());
        let (signals, mailbox) = (self.desk.signals.as_fd(), self.mailbox.as_fd());
        let others = self.connection.changes().unwrap_or(mailbox);
        let ours = [self.channel.as_fd(), signals, mailbox, console, others];
        let mut fds = ours.map(|fd| (fd, PollFlags::POLLIN)).to_vec();
        fds.extend(self.desk.clients.interest());
        let ready = self.ctx.poll_each(&fds, timeout)?;
        let ready = |n: usize| !ready[n].is_empty();
        let called = (ours.len()..fds.len()).any(ready);
        let [channel, signals, console, others] = [0, 1, 3, 4].map(ready);
        if channel {
            self.channel.acknowledge()?;
        }
        if console {
            self.read_console();
        }
        if others {
            self.connection.note_changes();
            self.tell_network()?;
        }
        if signals {
            while let Some(info) = self.desk.signals.read_signal()? {
                self.signal(info.ssi_signo as u8)?;
            }
        }
        Ok(called)
    }

    /// The first moment at which something is to be done without a cause.
    fn until(&self) -> Option<Instant> {
        let slow = self.outlets.iter().filter_map(Outlet::patience_ends);
        let slow = slow.chain(self.looks.until()).chain(self.checks.until());
        let slow = slow.chain(self.changes.until());
        slow.chain(self.phase.until()).chain(self.deadlines.first()).min()
    }

    fn meet_deadlines(&mut self) -> Result<(), Error> {
        let now = Instant::now();
        for client in
            self.outlets.iter().flat_map(|outlet| outlet.too_slow(now)).collect::<Vec<_>>()
        {
            self.refuse(client, "the output was not taken fast enough");
            self.forget(client);
        }
        self.overdue_answers(now);
        self.overdue_network(now)?;
        self.check_health(now)?;
        if self.report.is_some() || self.until().is_none_or(|until| now < until) {
            return Ok(());
        }
        if matches!(self.phase, Phase::Running) {
            return self.running_too_long(now);
        }
        if self.phase.until().is_none_or(|until| until > now) {
            return Ok(());
        }
        match (&self.phase, self.phase.overdue(self.plan)) {
            (Phase::Exited { .. }, Some(report)) if self.plan.definition.write_back.is_some() => {
                self.end_life(report)
            }
            (Phase::Returning { .. }, Some(report)) => {
                let seconds = phase::SYNC.as_secs();
                let why = format!("the guest sent nothing for {seconds} s");
                self.report = Some(self.not_returned(&report, &why));
                Ok(())
            }
            (_, report) => {
                self.report = report;
                Ok(())
            }
        }
    }

    fn running_too_long(&mut self, now: Instant) -> Result<(), Error> {
        let due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        if due(self.deadlines.destroy) {
            let why = self.deadlines.why.take();
            let why = why.unwrap_or_else(|| "the process did not die of SIGKILL".to_owned());
            self.report = Some(Report::failed(KILLED, why));
            return Ok(());
        }
        if due(self.deadlines.timeout) {
            let seconds = self.plan.definition.timeout.unwrap_or_default().as_secs_f64();
            return self.kill(Some(format!("killed: it ran longer than --timeout {seconds}")));
        }
        if due(self.deadlines.kill) { self.kill(None) } else { Ok(()) }
    }

    /// Kills the process, and the DomU when that does not help.
    fn kill(&mut self, why: Option<String>) -> Result<(), Error> {
        let Some(process) = self.process.filter(|_| matches!(self.phase, Phase::Running)) else {
            let why = why.unwrap_or_else(|| "killed before the process ran".to_owned());
            // After its end, nothing is left to be killed.
            match self.phase {
                Phase::Booting { .. } => self.report = Some(Report::failed(KILLED, why)),
                // A helper: nothing runs, but something may be left to be written.
                Phase::Running => self.power_off(Report::exited(0))?,
                _ => {}
            }
            return Ok(());
        };
        self.unpause()?;
        self.signal_main(process, Signal::SIGKILL as u8)?;
        let destroy = Some(Instant::now() + GRACE);
        self.deadlines = Deadlines { timeout: None, kill: None, destroy, why };
        Ok(())
    }

    /// A signal for the main process. A second interrupt ends it for good, if it is a
    /// person's.
    fn signal(&mut self, number: u8) -> Result<(), Error> {
        if self.desk.held && number == Signal::SIGWINCH as u8 {
            return self.follow_terminal();
        }
        self.interrupts += u32::from(number == Signal::SIGINT as u8 && !self.desk.held);
        match (&self.phase, self.process) {
            (Phase::Running, Some(_)) if self.interrupts >= 2 => {
                self.desk.by_user = true;
                self.kill(Some("killed by a second interrupt".to_owned()))
            }
            (Phase::Running, Some(process)) => self.signal_main(process, number),
            (Phase::Running, None) => self.power_off(Report::exited(0)),
            (Phase::Booting { .. }, _) => {
                self.desk.by_user = true;
                let name = Signal::try_from(i32::from(number)).map_or("signal", Signal::as_str);
                let code = 128_u8.saturating_add(number);
                self.report = Some(Report::failed(code, format!("{name} before the process ran")));
                Ok(())
            }
            (Phase::PoweringOff { report, .. }, _) if self.interrupts >= 2 => {
                let text = "interrupted before the guest had written everything to its disk";
                self.report = Some(Report::failed(report.code, text));
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// The process has ended and all of its output is written: so has the life,
    /// once the guest has given back what the process has written, or written to the
    /// container's disk what it still holds.
    fn complete(&mut self) -> Result<(), Error> {
        self.finish_return();
        let Phase::Exited { report, .. } = &self.phase else { return Ok(()) };
        if self.report.is_some() || !self.outlets.iter().all(Outlet::is_over) {
            return Ok(());
        }
        let report = match self.deadlines.why.take() {
            Some(why) => Report { oom_killed: report.oom_killed, ..Report::failed(KILLED, why) },
            None => report.clone(),
        };
        self.end_life(report)
    }
}
