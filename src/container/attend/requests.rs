//! What clients ask of a container that lives.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use vxn_proto::{ProcessId, ProcessSpec, StreamId, StreamKind, WINDOW, WindowSize};

use super::super::control::{ClientId, Heard, ToClient, ToMonitor};
use super::super::report::{KILLED, Report};
use super::super::{condition, news, terminal};
use super::feed::Feed;
use super::guest::index;
use super::phase::Phase;
use super::{Attendance, Error, Work};

impl Attendance<'_> {
    /// Hears everybody.
    pub(super) fn hear(&mut self) -> Result<(), Error> {
        for (client, heard) in self.desk.clients.hear() {
            match heard {
                Heard::Message(message) => self.request(client, message)?,
                Heard::Stdin(bytes) => match self.feeds.get_mut(&client) {
                    Some(feed) => feed.put(&bytes),
                    // Its process is over, or has no stdin.
                    None => self.desk.clients.consumed(client, bytes.len()),
                },
                Heard::StdinEnd => {
                    if let Some(feed) = self.feeds.get_mut(&client) {
                        feed.end();
                    }
                }
                Heard::Gone => self.gone(client)?,
            }
        }
        Ok(())
    }

    fn request(&mut self, client: ClientId, message: ToMonitor) -> Result<(), Error> {
        match message {
            ToMonitor::Signal { signal } => self.signal_from(client, signal)?,
            ToMonitor::Resize(size) => return self.resize(client, size),
            ToMonitor::Window { error, bytes } => return self.taken(client, error, bytes),
            ToMonitor::HangUp { error } => return self.hang_up(client, error),
            ToMonitor::Stop { signal, seconds } => return self.stop(signal, seconds),
            ToMonitor::Destroy => {
                (self.desk.by_user, self.removed) = (true, true);
                self.tell("kill", &[("signal", (Signal::SIGKILL as u8).to_string())]);
                self.report = Some(Report::failed(KILLED, "the container was removed"));
                return Ok(());
            }
            ToMonitor::Pause => return self.pause(client),
            ToMonitor::Unpause if self.paused() => self.unpause()?,
            ToMonitor::Unpause => {
                self.refuse(client, "the container is not paused");
                return Ok(());
            }
            // Whoever waits is told when the monitor ends.
            ToMonitor::Wait => return Ok(()),
            ToMonitor::Attach { stdin, size } => {
                self.desk.watchers.insert(client, stdin);
                self.watch(client, stdin);
                if let Some(size) = size {
                    self.resize(client, size)?;
                }
            }
            ToMonitor::Start => {
                self.refuse(client, "cannot start an already running container");
                return Ok(());
            }
            ToMonitor::Exec { spec, detached } => return self.exec(client, spec, detached),
            ToMonitor::Connect(membership) => return self.connect(client, &membership),
            ToMonitor::Disconnect(departure) => return self.disconnect(client, &departure),
            ToMonitor::Query(query) => return self.query(client, query),
            ToMonitor::Console { follow } => {
                self.show_console(client, follow);
                return Ok(());
            }
            ToMonitor::Files(request) => return self.work_on_files(client, request),
            ToMonitor::Leave => {
                self.forget(client);
                if self.desk.is_front(client) {
                    self.desk.front = None;
                }
                return Ok(());
            }
        }
        self.desk.clients.tell(client, &ToClient::Done);
        Ok(())
    }

    pub(super) fn refuse(&mut self, client: ClientId, why: &str) {
        self.desk.clients.tell(client, &ToClient::Refused { message: why.to_owned() });
    }

    /// Everybody who watched the last life watches this one too.
    pub(super) fn watch_again(&mut self) {
        for (client, stdin) in self.desk.watchers.clone() {
            self.watch(client, stdin);
        }
    }

    fn watch(&mut self, client: ClientId, stdin: bool) {
        let front = self.desk.is_front(client);
        for outlet in &mut self.outlets {
            outlet.watch(client, front, &mut self.desk.clients);
        }
        if stdin && self.plan.definition.process.stdin {
            // Like docker: what is attached later leaves stdin open behind it.
            self.feeds.insert(client, Feed::new(self.process, front));
        }
    }

    fn signal_from(&mut self, client: ClientId, number: u8) -> Result<(), Error> {
        if let Some(process) = self.executed_by(client) {
            return Ok(self.session.signal(process, number)?);
        }
        if self.looks.watches(client) {
            self.end_console(client, number);
            return Ok(());
        }
        if self.desk.is_front(client) || !matches!(self.phase, Phase::Running) {
            return self.signal(number);
        }
        let kill = Signal::SIGKILL as u8;
        if number == kill || number == self.plan.definition.stop.signal {
            self.desk.by_user = true;
        }
        if number == kill {
            return self.kill(None);
        }
        match self.process {
            Some(process) => self.signal_main(process, number),
            None => Ok(()),
        }
    }

    fn resize(&mut self, client: ClientId, size: WindowSize) -> Result<(), Error> {
        if self.executed_by(client).is_none() {
            self.size = Some(size);
        }
        match self.executed_by(client).or(self.process) {
            Some(process) => Ok(self.session.resize(process, size)?),
            None => Ok(()),
        }
    }

    /// The terminal that was inherited has another size.
    pub(super) fn follow_terminal(&mut self) -> Result<(), Error> {
        let (Some(size), Some(process)) = (terminal::size(), self.process) else { return Ok(()) };
        let tty = self.plan.definition.process.tty;
        if tty { Ok(self.session.resize(process, size)?) } else { Ok(()) }
    }

    fn taken(&mut self, client: ClientId, error: bool, bytes: u32) -> Result<(), Error> {
        let kind = if error { StreamKind::Stderr } else { StreamKind::Stdout };
        if let Some(process) = self.executed_by(client) {
            return Ok(self.session.consumed(StreamId { process, kind }, bytes as usize)?);
        }
        if self.looks.taken(client, bytes) {
            self.push_console(client);
            return Ok(());
        }
        self.outlets[index(kind)].taken(client, bytes);
        Ok(())
    }

    /// An executed process gets a broken pipe; the main one has other readers.
    fn hang_up(&mut self, client: ClientId, error: bool) -> Result<(), Error> {
        let kind = if error { StreamKind::Stderr } else { StreamKind::Stdout };
        match self.executed_by(client) {
            Some(process) => Ok(self.session.hang_up(StreamId { process, kind })?),
            None => Ok(()),
        }
    }

    fn stop(&mut self, signal: Option<u8>, seconds: Option<Option<u64>>) -> Result<(), Error> {
        self.desk.by_user = true;
        let stop = self.plan.definition.stop;
        let signal = signal.unwrap_or(stop.signal);
        match (&self.phase, self.process) {
            (Phase::Running, Some(process)) => {
                self.unpause()?;
                self.stopping = true;
                self.signal_main(process, signal)?;
                let seconds = seconds.unwrap_or(stop.seconds);
                let at = |seconds| Instant::now() + Duration::from_secs(seconds);
                self.deadlines.kill = seconds.map(at);
                Ok(())
            }
            (Phase::Running, None) => self.power_off(Report::exited(0)),
            (Phase::Booting { .. }, _) => {
                let code = 128_u8.saturating_add(signal);
                self.report = Some(Report::failed(code, "stopped before the process ran"));
                Ok(())
            }
            _ => Ok(()),
        }
    }

    pub(super) fn paused(&self) -> bool {
        self.desk.live().phase == condition::Phase::Paused
    }

    fn pause(&mut self, client: ClientId) -> Result<(), Error> {
        if self.paused() || !matches!(self.phase, Phase::Running) {
            let why = if self.paused() { "already paused" } else { "not running" };
            self.refuse(client, &format!("the container is {why}"));
            return Ok(());
        }
        self.ctx.pause(self.domid)?;
        self.desk.tell(|live| live.phase = condition::Phase::Paused)?;
        self.tell("pause", &[]);
        self.desk.clients.tell(client, &ToClient::Done);
        Ok(())
    }

    pub(super) fn unpause(&mut self) -> Result<(), Error> {
        if self.paused() {
            self.ctx.unpause(self.domid)?;
            self.desk.tell(|live| live.phase = condition::Phase::Running)?;
            self.tell("unpause", &[]);
        }
        Ok(())
    }

    /// Why the guest cannot do anything for a client now.
    pub(super) fn hindrance(&self) -> Option<&'static str> {
        match self.phase {
            _ if self.paused() => Some("the container is paused: unpause it first"),
            Phase::Running => None,
            _ => Some("the container is not running"),
        }
    }

    fn exec(&mut self, client: ClientId, spec: ProcessSpec, detached: bool) -> Result<(), Error> {
        if let Some(why) = self.hindrance() {
            self.refuse(client, why);
            return Ok(());
        }
        let (stdin, tty) = (spec.stdin, spec.tty.is_some());
        let words = news::command(&spec.args);
        let started = self.session.start(spec);
        let work = Work::Command { words: words.clone(), detached, tty };
        if let Some(process) = self.begun(client, started, work, stdin)? {
            self.tell_exec("exec_create", &words, process);
        }
        Ok(())
    }

    fn executed_by(&self, client: ClientId) -> Option<ProcessId> {
        let found = self.others.iter().find(|(_, other)| other.client == Some(client));
        found.map(|(&process, _)| process)
    }

    /// A client has no part in this any more.
    pub(super) fn forget(&mut self, client: ClientId) {
        self.desk.watchers.remove(&client);
        self.looks.forget(client);
        self.feeds.remove(&client);
        self.outlets.iter_mut().for_each(|outlet| outlet.forget(client));
    }

    /// A client has died. A process that it executed goes on without it, but for
    /// one whose terminal is gone with it.
    fn gone(&mut self, client: ClientId) -> Result<(), Error> {
        let fed = self.feeds.contains_key(&client);
        self.forget(client);
        if let Some(process) = self.executed_by(client) {
            for kind in [StreamKind::Stdout, StreamKind::Stderr] {
                self.session.consumed(StreamId { process, kind }, WINDOW as usize)?;
            }
            let work = self.others.get_mut(&process).map(|other| {
                other.client = None;
                other.work.clone()
            });
            match work {
                Some(Work::Command { tty: true, .. }) => {
                    self.session.signal(process, Signal::SIGHUP as u8)?;
                }
                // Nobody has anything of it any more.
                Some(Work::Files) => self.session.signal(process, Signal::SIGKILL as u8)?,
                _ if fed => self.session.close_stdin(process),
                _ => {}
            }
        }
        if self.desk.is_front(client) {
            self.desk.front = None;
            self.kill(Some("vxn run was killed".to_owned()))?;
        }
        Ok(())
    }
}
