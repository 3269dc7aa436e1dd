//! The monitor's poll loop.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixListener;
use std::time::{Duration, Instant};

use nix::poll::PollFlags;
use nix::sys::signalfd::SignalFd;

use super::client::Client;
use super::console::{Console, open_log};
use super::dhcp::Dhcp;
use super::exchange::{Event, Exchange};
use super::jobs::{ClientId, Job, Jobs};
use super::marker;
use super::message::{Answer, Info, Request};
use super::monitor::{Error, Subject, io_error};
use super::net::Connection;
use super::order::{Mode, Order};
use crate::libxl::{Ctx, EventKind, ShutdownReason};
use crate::network::Publish;
use crate::xenstore::{Xenstore, paths};

/// The guest's name of the disk that a container comes on.
const INPUT_DISK: &str = "xvdb";
/// How long the last words of a dead guest may take through xenconsoled.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// What the loop watches besides the DomU.
#[derive(Debug)]
pub struct Inlets<'a> {
    /// Where verbs connect.
    pub listener: &'a UnixListener,
    /// The signals of the monitor; any of them ends the DomU.
    pub signals: &'a SignalFd,
    /// Readable when somebody has gone with whom the DomU ends.
    pub lifelines: [Option<BorrowedFd<'a>>; 2],
}

/// Why the loop ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// The guest has ended.
    Guest(ShutdownReason),
    /// Somebody else has destroyed the DomU, or wants it destroyed.
    Destroyed,
}

/// One DomU being attended.
#[derive(Debug)]
pub struct Attendance<'a> {
    order: &'a Order,
    ctx: &'a Ctx,
    connection: &'a Connection<'a>,
    info: Info,
    console: Option<Console>,
    dhcp: Option<Dhcp>,
    log: Option<File>,
    clients: BTreeMap<ClientId, Client>,
    next_client: ClientId,
    jobs: Jobs,
    /// Who asked for the end, and is told of it.
    end: Option<End>,
}

impl<'a> Attendance<'a> {
    /// Takes over a DomU that is about to be unpaused.
    pub fn new(
        subject: Subject<'a>,
        info: Info,
        console: Option<Console>,
        dhcp: Option<Dhcp>,
    ) -> Result<Attendance<'a>, Error> {
        let Subject { order, ctx, connection, .. } = subject;
        let log = match &order.mode {
            Mode::Daemon { log } | Mode::Capture { log } => {
                Some(open_log(log).map_err(io_error("the log of the console"))?)
            }
            Mode::Foreground => None,
        };
        Ok(Attendance {
            order,
            ctx,
            connection,
            info,
            console,
            dhcp,
            log,
            clients: BTreeMap::new(),
            next_client: 0,
            jobs: Jobs::default(),
            end: None,
        })
    }

    /// Runs until the DomU has ended or is to be destroyed. Returns the verbs that
    /// wait for that.
    pub fn run(mut self, inlets: &Inlets<'_>) -> Result<Vec<Client>, Error> {
        let end = loop {
            if let Some(end) = self.end {
                break end;
            }
            self.begin_next()?;
            self.wait(inlets)?;
            self.domain_events()?;
            self.deadline()?;
            self.clients.retain(|_, client| !client.is_gone());
        };
        self.last_words()?;
        let why = match end {
            End::Guest(reason) => format!("the DomU ended ({reason}) before the command had"),
            End::Destroyed => "the DomU was destroyed before the command had ended".to_owned(),
        };
        for job in self.jobs.drain() {
            self.answer(job.client, &Answer::Failed(why.clone()));
        }
        Ok(self.clients.into_values().collect())
    }

    /// Sleeps until something happens, and serves it.
    fn wait(&mut self, inlets: &Inlets<'_>) -> Result<(), Error> {
        let deadline = self.jobs.current.as_ref().and_then(Job::deadline);
        let timeout = deadline.map(|until| until.saturating_duration_since(Instant::now()));
        let only_read = |fd| (fd, PollFlags::POLLIN);
        let mut wanted =
            vec![only_read(inlets.listener.as_fd()), only_read(inlets.signals.as_fd())];
        // Without a network there is nothing to hear there.
        wanted.push(only_read(self.dhcp.as_ref().map_or(inlets.listener.as_fd(), Dhcp::as_fd)));
        wanted.extend(inlets.lifelines.iter().flatten().map(|&fd| only_read(fd)));
        let lifelines = 3..wanted.len();
        wanted.extend(self.clients.values().map(Client::wanted));
        let clients = lifelines.end..wanted.len();
        wanted.extend(self.console.as_ref().and_then(Console::wanted));
        let ready = self.ctx.poll_each(&wanted, timeout)?;
        let is_ready = |i: usize| ready.get(i).is_some_and(|flags| !flags.is_empty());
        let talking: Vec<ClientId> = self
            .clients
            .keys()
            .zip(clients.clone())
            .filter(|(_, i)| is_ready(*i))
            .map(|(id, _)| *id)
            .collect();
        if is_ready(clients.end) {
            self.serve_console()?;
        }
        for id in talking {
            self.serve_client(id)?;
        }
        if is_ready(0) {
            self.accept(inlets.listener);
        }
        if let Some(dhcp) = self.dhcp.as_ref().filter(|_| is_ready(2)) {
            // The guest asks again.
            dhcp.serve().unwrap_or_else(|e| tracing::warn!("an answer to DHCP: {e}"));
        }
        if is_ready(1) || lifelines.into_iter().any(is_ready) {
            self.end = Some(End::Destroyed);
        }
        Ok(())
    }

    fn accept(&mut self, listener: &UnixListener) {
        while let Ok((stream, _)) = listener.accept() {
            match Client::new(stream) {
                Ok(client) => {
                    self.clients.insert(self.next_client, client);
                    self.next_client += 1;
                }
                Err(e) => tracing::warn!("a verb cannot be served: {e}"),
            }
        }
    }

    fn serve_client(&mut self, id: ClientId) -> Result<(), Error> {
        let Some(client) = self.clients.get_mut(&id) else { return Ok(()) };
        client.flush();
        let request = client.read();
        if client.is_gone() {
            self.jobs.forget(id);
        }
        match request {
            Some(request) => self.serve(id, request),
            None => Ok(()),
        }
    }

    fn serve(&mut self, id: ClientId, request: Request) -> Result<(), Error> {
        let busy = self.jobs.is_busy();
        let answer = match request {
            Request::Info => Some(Answer::Info(Info { busy, ..self.info.clone() })),
            Request::Shutdown { when_idle: true } if busy => {
                Some(Answer::Failed("a command runs".to_owned()))
            }
            Request::Shutdown { .. } => Some(self.shutdown()?),
            Request::PowerOff => Some(self.power_off()?),
            Request::Forward { ports } => Some(self.forward(&ports)),
            Request::Unforward => Some(match self.connection.unpublish() {
                Ok(()) => Answer::Done(0),
                Err(e) => Answer::Failed(e.to_string()),
            }),
            Request::Destroy => {
                self.end = Some(End::Destroyed);
                Some(Answer::Done(0))
            }
            _ if !matches!(self.order.mode, Mode::Daemon { .. }) => {
                Some(Answer::Failed(format!("{} takes no commands", self.order.name)))
            }
            Request::Ping if busy => Some(Answer::Failed("a command runs".to_owned())),
            other => match Job::new(id, other) {
                Some(Ok(job)) => {
                    self.jobs.push(job);
                    None
                }
                Some(Err(e)) => Some(Answer::Failed(e.to_string())),
                None => None,
            },
        };
        if let Some(answer) = answer {
            self.answer(Some(id), &answer);
        }
        Ok(())
    }

    fn forward(&self, ports: &[String]) -> Answer {
        let parsed: Result<Vec<_>, String> =
            ports.iter().map(|text| Publish::parse(text)).collect();
        let published = parsed
            .and_then(|ports| self.connection.publish(&ports.concat()).map_err(|e| e.to_string()));
        match published {
            Ok(forwards) => Answer::Forwards(forwards.iter().map(ToString::to_string).collect()),
            Err(why) => Answer::Failed(why),
        }
    }

    /// The guest's init listens on the console when it is idle; its kernel, always.
    fn shutdown(&mut self) -> Result<Answer, Error> {
        let console = self.console.as_mut().filter(|_| !self.jobs.is_busy());
        match (console, &self.order.mode) {
            (Some(console), Mode::Daemon { .. }) => {
                console.write(&[marker::SHUTDOWN, b"\n"].concat());
                Ok(Answer::Done(0))
            }
            _ => self.power_off(),
        }
    }

    /// Not by libxl, which would wait here for up to a minute.
    fn power_off(&self) -> Result<Answer, Error> {
        let node = paths::shutdown(self.info.domid.0);
        let written = Xenstore::open().and_then(|store| store.write(&node, "poweroff"));
        written.map_err(crate::libxl::Error::from)?;
        Ok(Answer::Done(0))
    }

    fn begin_next(&mut self) -> Result<(), Error> {
        while let Some(mut job) = self.jobs.next() {
            if let Some(console) = &mut self.console {
                // What nobody asked for, from before.
                let stale = console.read();
                self.note(&stale);
            }
            if let Some(path) = &job.disk {
                let disk = self.order.disk(path.clone(), INPUT_DISK, false);
                if let Err(e) = self.ctx.attach_disk(self.info.domid, &disk) {
                    self.answer(job.client, &Answer::Failed(e.to_string()));
                    continue;
                }
            }
            job.begin();
            if let Some(console) = &mut self.console {
                console.write(&Exchange::greeting());
            }
            self.jobs.current = Some(job);
        }
        Ok(())
    }

    fn serve_console(&mut self) -> Result<(), Error> {
        let Some(console) = &mut self.console else { return Ok(()) };
        console.flush();
        let bytes = console.read();
        self.note(&bytes);
        let mut events = Vec::new();
        if let Some(job) = &mut self.jobs.current {
            job.exchange.feed(&bytes, &mut events);
        }
        for event in events {
            self.event(event)?;
        }
        Ok(())
    }

    /// Keeps what may explain a failure.
    fn note(&mut self, bytes: &[u8]) {
        let Some(log) = &mut self.log else { return };
        if let Err(e) = log.write_all(bytes) {
            tracing::warn!("the console's log: {e}");
            self.log = None;
        }
        let ready = bytes.windows(marker::PONG.len()).any(|part| part == marker::PONG);
        if ready && matches!(self.order.mode, Mode::Daemon { .. }) {
            // From here on the console is the verbs', and may go on for years.
            self.log = None;
        }
    }

    fn event(&mut self, event: Event) -> Result<(), Error> {
        let client = self.jobs.current.as_ref().and_then(|job| job.client);
        match event {
            Event::Send(bytes) => {
                if let Some(console) = &mut self.console {
                    console.write(&bytes);
                }
            }
            Event::Output(bytes) => self.answer(client, &Answer::Output(bytes)),
            Event::Finished(code) => self.finish(&Answer::Done(code)),
            Event::Status(status) => self.finish(&Answer::Status(status)),
            Event::Refused(why) => {
                self.finish(&Answer::Failed(format!("the guest could not do it: {why}")));
            }
        }
        Ok(())
    }

    /// The current job is over; its disk goes before the caller knows, who may
    /// remove the file or come with the next one.
    fn finish(&mut self, answer: &Answer) {
        let Some(job) = self.jobs.current.take() else { return };
        if job.disk.is_some() {
            if let Err(e) = self.ctx.detach_disk(self.info.domid, INPUT_DISK) {
                tracing::warn!("{e}");
                self.answer(job.client, &Answer::Failed(e.to_string()));
                return;
            }
        }
        self.answer(job.client, answer);
    }

    fn deadline(&mut self) -> Result<(), Error> {
        let Some(job) = &self.jobs.current else { return Ok(()) };
        if job.deadline().is_some_and(|until| until <= Instant::now()) {
            let silence = job.silence();
            self.finish(&Answer::Failed(silence));
        }
        Ok(())
    }

    fn answer(&mut self, client: Option<ClientId>, answer: &Answer) {
        if let Some(client) = client.and_then(|id| self.clients.get_mut(&id)) {
            client.answer(answer);
        }
    }

    fn domain_events(&mut self) -> Result<(), Error> {
        while let Some(event) = self.ctx.next_event()? {
            self.end = self.end.or(match event.kind {
                EventKind::Shutdown(ShutdownReason::Suspend) => None,
                EventKind::Shutdown(reason) => Some(End::Guest(reason)),
                EventKind::Death => Some(End::Destroyed),
            });
        }
        Ok(())
    }

    /// xenconsoled closes the pty after them, or half a second goes by.
    fn last_words(&mut self) -> Result<(), Error> {
        let deadline = Instant::now() + LAST_WORDS;
        loop {
            self.serve_console()?;
            let left = deadline.saturating_duration_since(Instant::now());
            let wanted = self.console.as_ref().and_then(Console::wanted);
            let Some((tty, _)) = wanted.filter(|_| !left.is_zero()) else { return Ok(()) };
            self.ctx.poll_each(&[(tty, PollFlags::POLLIN)], Some(left))?;
        }
    }
}
