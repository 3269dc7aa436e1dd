//! Health checks: commands that the monitor executes by the clock.

use std::time::Instant;

use jiff::Timestamp;
use nix::sys::signal::Signal;
use vxn_proto::{ProcessId, ProcessSpec};

use super::super::health::{Health, HealthCheck, MAX_OUTPUT, NO_EXIT, Probe};
use super::super::report::Report;
use super::{Attendance, Error, Other, Work};
use crate::guest;

/// The checks of one life.
#[derive(Debug, Default)]
pub struct Checks {
    /// When the next one is to begin, or the one that runs has had its time.
    at: Option<Instant>,
    running: Option<Running>,
}

/// A check that is on its way.
#[derive(Debug)]
struct Running {
    process: ProcessId,
    began: Timestamp,
    output: Vec<u8>,
    /// It was given up, and its result told: only its end is awaited.
    overdue: bool,
}

impl Checks {
    /// When there is something to be done.
    pub fn until(&self) -> Option<Instant> {
        self.at
    }

    /// Keeps what the check says, as much as is shown of it.
    pub fn hear(&mut self, process: ProcessId, bytes: &[u8]) {
        if let Some(running) = self.running.as_mut().filter(|r| r.process == process) {
            let room = MAX_OUTPUT.saturating_sub(running.output.len());
            running.output.extend(&bytes[..room.min(bytes.len())]);
        }
    }
}

impl Attendance<'_> {
    /// The main process runs: its checks begin.
    pub(super) fn begin_checks(&mut self) -> Result<(), Error> {
        if let Some(check) = &self.plan.definition.health {
            self.desk.tell(|live| live.health = Some(Health::default()))?;
            self.wait_for_check(check);
        }
        Ok(())
    }

    /// Begins a check that is due, and gives up one that takes too long.
    pub(super) fn check_health(&mut self, now: Instant) -> Result<(), Error> {
        let Some(check) = &self.plan.definition.health else { return Ok(()) };
        if self.checks.at.is_none_or(|at| now < at) {
            return Ok(());
        }
        if self.hindrance().is_some() {
            // Of one that is paused, or about to end, nothing can be said.
            self.wait_for_check(check);
            return Ok(());
        }
        let Some(running) = &mut self.checks.running else { return self.begin_check(check, now) };
        // It stays there until it is gone, so that a guest in which nothing dies does not
        // fill with checks; until then each interval is a failure.
        running.overdue = true;
        let (process, start) = (running.process, running.began);
        self.session.signal(process, Signal::SIGKILL as u8)?;
        let seconds = check.timeout.as_secs_f64();
        let output = format!("Health check exceeded timeout ({seconds}s)");
        self.found(check, Probe { start, end: Timestamp::now(), exit_code: NO_EXIT, output })
    }

    fn begin_check(&mut self, check: &HealthCheck, now: Instant) -> Result<(), Error> {
        let began = Timestamp::now();
        let own = self.plan.definition.process.spec(None);
        let args = check.command.iter().map(|text| text.0.clone()).collect();
        match self.session.start(ProcessSpec { args, tty: None, stdin: false, ..own }) {
            Ok(process) => {
                self.others.insert(process, Other { client: None, work: Work::HealthCheck });
                self.checks.running =
                    Some(Running { process, began, output: Vec::new(), overdue: false });
                self.checks.at = Some(now + check.timeout);
                Ok(())
            }
            Err(e @ (guest::Error::TooLong(_) | guest::Error::TooMany)) => {
                let (output, end) = (e.to_string(), Timestamp::now());
                self.found(check, Probe { start: began, end, exit_code: NO_EXIT, output })
            }
            Err(e) => Err(e.into()),
        }
    }

    /// A check has ended, or was none.
    pub(super) fn checked(&mut self, process: ProcessId, report: Report) -> Result<(), Error> {
        let Some(check) = &self.plan.definition.health else { return Ok(()) };
        let Some(running) = self.checks.running.take_if(|r| r.process == process) else {
            return Ok(());
        };
        if running.overdue {
            return Ok(());
        }
        let (exit_code, output) = match report.error {
            Some(why) => (NO_EXIT, why.into_bytes()),
            None => (i32::from(report.code), running.output),
        };
        let output = String::from_utf8_lossy(&output).into_owned();
        let probe = Probe { start: running.began, end: Timestamp::now(), exit_code, output };
        self.found(check, probe)
    }

    /// Tells what a check has found.
    fn found(&mut self, check: &HealthCheck, probe: Probe) -> Result<(), Error> {
        let started = self.desk.live().started.unwrap_or(probe.start);
        let mut verdict = None;
        self.desk.tell(|live| {
            let health = live.health.get_or_insert_default();
            verdict = health.take(check, started, probe);
        })?;
        if let Some(status) = verdict {
            self.tell(&format!("health_status: {}", status.word()), &[]);
        }
        self.wait_for_check(check);
        Ok(())
    }

    fn wait_for_check(&mut self, check: &HealthCheck) {
        let live = self.desk.live();
        let age = live.started.map(|started| Timestamp::now().duration_since(started));
        let age = age.and_then(|age| age.try_into().ok()).unwrap_or_default();
        let pause = match &live.health {
            Some(health) => check.pause(health, age),
            None => check.interval,
        };
        self.checks.at = Some(Instant::now() + pause);
    }
}
