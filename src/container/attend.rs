//! The monitor's poll loop: from the first instruction of the DomU to the last
//! byte of its process's output.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant, SystemTime};

use nix::errno::Errno;
use nix::sys::signal::Signal;
use nix::sys::signalfd::SignalFd;
use vxn_proto::{
    Configure, Entropy, ExitStatus, Frame, ProcessId, StartFailure, StreamId, StreamKind, ToHost,
};

use super::console::ConsoleLog;
use super::id::random_bytes;
use super::network::Connection;
use super::plan::Plan;
use super::report::{ENGINE_FAILED, KILLED, NOT_EXECUTABLE, NOT_FOUND, Report};
use super::streams::{Input, Mailbox, Output, Progress};
use crate::guest::{self, Channel, Event, Guest, Rest, Session};
use crate::libxl::{Ctx, DomId, EventKind};

/// How long a guest that has closed its channel may take to go down, and one
/// whose process has ended to end its streams.
const GRACE: Duration = Duration::from_secs(10);

/// Why attending ended without a process's end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The conversation broke.
    #[error(transparent)]
    Guest(#[from] guest::Error),
    /// Bytes that are no frame.
    #[error("the guest broke the protocol: {0}")]
    Frame(#[from] vxn_proto::Error),
    /// The channel, a pty or the poll itself failed.
    #[error("cannot talk to the guest: {0}")]
    Io(#[from] io::Error),
    /// The leases cannot be read.
    #[error(transparent)]
    Network(#[from] crate::network::Error),
    /// libxl failed.
    #[error(transparent)]
    Libxl(#[from] crate::libxl::Error),
}

impl From<Errno> for Error {
    fn from(e: Errno) -> Error {
        Error::Io(e.into())
    }
}

/// What the loop watches besides the DomU.
#[derive(Debug)]
pub struct Inlets<'a> {
    /// Becomes readable when the front is gone.
    pub front: BorrowedFd<'a>,
    /// The signals of the monitor.
    pub signals: &'a SignalFd,
}

/// How far the process is.
#[derive(Debug, Clone, Copy)]
enum Phase {
    /// The DomU boots until this moment at the latest.
    Booting { until: Instant },
    /// The process runs, until this moment at the latest.
    Running { until: Option<Instant> },
    /// The process has ended; the rest of its output is awaited.
    Exited { status: ExitStatus, until: Instant },
    /// The guest has closed its channel; libxl will tell why.
    Silent { until: Instant },
}

/// One DomU being attended.
#[derive(Debug)]
pub struct Attendance<'a> {
    plan: &'a Plan,
    ctx: &'a Ctx,
    domid: DomId,
    connection: &'a Connection<'a>,
    /// What the guest knows of the network.
    told: vxn_proto::Network,
    channel: Channel,
    session: Session,
    console: ConsoleLog,
    mailbox: Mailbox,
    input: Option<Input>,
    outputs: [Outlet; 2],
    process: Option<ProcessId>,
    phase: Phase,
    interrupts: u32,
    report: Option<Report>,
}

#[derive(Debug)]
struct Outlet {
    output: Output,
    finished: bool,
}

impl<'a> Attendance<'a> {
    /// Takes over a DomU that is about to be unpaused.
    pub fn new(
        plan: &'a Plan,
        ctx: &'a Ctx,
        domid: DomId,
        connection: &'a Connection<'a>,
        channel: Channel,
        console: ConsoleLog,
    ) -> io::Result<Attendance<'a>> {
        let mailbox = Mailbox::new()?;
        let stdout = io::stdout().as_fd().try_clone_to_owned()?;
        let stderr = io::stderr().as_fd().try_clone_to_owned()?;
        let outlet = |output| Outlet { output, finished: false };
        let outputs = [
            outlet(Output::spawn(stdout, 0, &mailbox)?),
            outlet(Output::spawn(stderr, 1, &mailbox)?),
        ];
        let phase = Phase::Booting { until: Instant::now() + plan.boot_timeout };
        let session = Session::new();
        let (input, process, interrupts, report) = (None, None, 0, None);
        Ok(Attendance {
            plan,
            ctx,
            domid,
            connection,
            told: vxn_proto::Network::default(),
            channel,
            session,
            console,
            mailbox,
            input,
            outputs,
            process,
            phase,
            interrupts,
            report,
        })
    }

    /// Runs until the process has ended and its output is written, or something
    /// ended it. The DomU may still be there.
    pub fn run(mut self, inlets: &Inlets<'_>) -> Report {
        let report = loop {
            match self.turn(inlets) {
                Ok(None) => {}
                Ok(Some(report)) => break report,
                Err(e) => break Report::failed(ENGINE_FAILED, e.to_string()),
            }
        };
        let puzzling = report.error.is_some() && report.code == ENGINE_FAILED;
        let console = if puzzling { self.console.last_words() } else { Vec::new() };
        Report { console, ..report }
    }

    fn turn(&mut self, inlets: &Inlets<'_>) -> Result<Option<Report>, Error> {
        self.feed()?;
        let rest = self.listen()?;
        self.channel.send(self.session.outbox())?;
        // Before the wait: the outputs may have been finished when the exit came.
        self.report = self.report.take().or_else(|| self.complete());
        if self.report.is_none() {
            self.wait(inlets, rest == Rest::More)?;
            self.deliver()?;
            self.domain_events()?;
            self.deadlines();
        }
        Ok(self.report.take().or_else(|| self.complete()))
    }

    /// Sleeps until something happens, and serves what needs no other part.
    fn wait(&mut self, inlets: &Inlets<'_>, busy: bool) -> Result<(), Error> {
        let timeout = if busy { Some(Duration::ZERO) } else { self.until().map(left) };
        let console = self.console.as_fd().unwrap_or(self.mailbox.as_fd());
        let others = self.connection.changes().unwrap_or(self.mailbox.as_fd());
        let fds = [
            self.channel.as_fd(),
            inlets.front,
            inlets.signals.as_fd(),
            self.mailbox.as_fd(),
            console,
            others,
        ];
        let [channel, front, signals, _, console, others] = self.ctx.poll(fds, timeout)?;
        if others {
            self.connection.note_changes();
            self.tell_network()?;
        }
        if channel {
            self.channel.acknowledge()?;
        }
        if console {
            self.console.drain();
        }
        if front {
            self.report = Some(Report::failed(KILLED, "vxn run was killed"));
        }
        if signals {
            while let Some(info) = inlets.signals.read_signal()? {
                self.signal(info.ssi_signo as i32)?;
            }
        }
        Ok(())
    }

    fn until(&self) -> Option<Instant> {
        match self.phase {
            Phase::Booting { until } | Phase::Exited { until, .. } | Phase::Silent { until } => {
                Some(until)
            }
            Phase::Running { until } => until,
        }
    }

    fn deadlines(&mut self) {
        if self.report.is_some() || self.until().is_none_or(|until| Instant::now() < until) {
            return;
        }
        self.report = Some(match self.phase {
            Phase::Booting { .. } => {
                let seconds = self.plan.boot_timeout.as_secs();
                Report::failed(ENGINE_FAILED, format!("the DomU said nothing for {seconds} s"))
                    .with_hint(Some("is this kernel made for Xen guests? raise boot_timeout if the host is slow"))
            }
            Phase::Running { .. } => {
                let seconds = self.plan.timeout.unwrap_or_default().as_secs_f64();
                Report::failed(KILLED, format!("killed: it ran longer than --timeout {seconds}"))
            }
            Phase::Exited { status, .. } => {
                tracing::warn!("the guest did not end the process's output");
                Report::exited(status.shell_code())
            }
            Phase::Silent { .. } => Report::failed(ENGINE_FAILED, "the guest closed its channel"),
        });
    }

    /// A first interrupt goes to the process, a second one ends it.
    fn signal(&mut self, number: i32) -> Result<(), Error> {
        let Ok(signal) = Signal::try_from(number) else { return Ok(()) };
        self.interrupts += u32::from(signal == Signal::SIGINT);
        match (self.phase, self.process) {
            (Phase::Running { .. }, Some(process)) if self.interrupts < 2 => {
                Ok(self.session.signal(process, number as u8)?)
            }
            (Phase::Running { .. }, _) => {
                self.report = Some(Report::failed(KILLED, "killed by a second interrupt"));
                Ok(())
            }
            (Phase::Exited { status, .. }, _) => {
                self.report = Some(Report::exited(status.shell_code()));
                Ok(())
            }
            _ => {
                let code = 128_u8.saturating_add(number as u8);
                let text = format!("{signal} before the process ran");
                self.report = Some(Report::failed(code, text));
                Ok(())
            }
        }
    }

    /// Hands stdin on as far as the guest takes it.
    fn feed(&mut self) -> Result<(), Error> {
        let (Some(input), Some(process)) = (&mut self.input, self.process) else { return Ok(()) };
        loop {
            let bytes = input.peek();
            let taken = self.session.send_stdin(process, bytes);
            if taken == 0 {
                break;
            }
            input.consume(taken);
        }
        if input.ended() {
            self.session.close_stdin(process);
            self.input = None;
        }
        Ok(())
    }

    /// Takes what the guest sent.
    fn listen(&mut self) -> Result<Rest, Error> {
        let mut events = Vec::new();
        let rest = self.channel.receive(|frame: Frame<ToHost>| -> Result<(), Error> {
            events.extend(self.session.receive(frame)?);
            Ok(())
        })?;
        for event in events {
            self.guest_event(event)?;
        }
        let waiting = matches!(self.phase, Phase::Booting { .. } | Phase::Running { .. });
        if rest == Rest::Closed && waiting {
            self.phase = Phase::Silent { until: Instant::now() + GRACE };
        }
        Ok(rest)
    }

    fn guest_event(&mut self, event: Event) -> Result<(), Error> {
        match event {
            Event::Hello { version } => self.greet(version),
            Event::Started(process) => self.started(process),
            Event::StartFailed { reason, message } => {
                let code = match reason {
                    StartFailure::NotFound => NOT_FOUND,
                    StartFailure::NotExecutable => NOT_EXECUTABLE,
                    StartFailure::Other => ENGINE_FAILED,
                };
                self.report = Some(Report::failed(code, message));
                Ok(())
            }
            Event::Output { stream, bytes } => {
                self.progress();
                self.outputs[tag(stream)].output.write(bytes);
                Ok(())
            }
            Event::OutputEnd(stream) => {
                self.outputs[tag(stream)].output.finish();
                Ok(())
            }
            Event::Exited { status, .. } => {
                self.input = None;
                self.phase = Phase::Exited { status, until: Instant::now() + GRACE };
                Ok(())
            }
            Event::Failed(message) => {
                self.report = Some(Report::failed(ENGINE_FAILED, format!("the guest: {message}")));
                Ok(())
            }
        }
    }

    /// Answers the guest's hello, and has the process started right away.
    fn greet(&mut self, version: u32) -> Result<(), Error> {
        let time = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let entropy = Entropy(random_bytes::<64>()?.to_vec());
        let hostname = self.plan.hostname.clone();
        self.session.configure(Configure {
            version,
            entropy,
            time,
            hostname,
            root: self.plan.root(),
        })?;
        self.tell_network()?;
        self.process = Some(self.session.start(self.plan.process.clone())?);
        Ok(())
    }

    /// Tells the guest of its network, if it does not know all of it.
    fn tell_network(&mut self) -> Result<(), Error> {
        // Before that it cannot listen; it is told when it greets.
        if self.session.guest() < Guest::Configuring {
            return Ok(());
        }
        let network = self.connection.guest()?;
        if network != self.told {
            self.session.network(network.clone())?;
            self.told = network;
        }
        Ok(())
    }

    fn started(&mut self, _: ProcessId) -> Result<(), Error> {
        self.phase = Phase::Running { until: self.plan.timeout.map(|t| Instant::now() + t) };
        if self.plan.process.stdin {
            let stdin = io::stdin().as_fd().try_clone_to_owned()?;
            self.input = Some(Input::spawn(stdin, &self.mailbox)?);
        }
        Ok(())
    }

    /// Takes what the stream threads have to say.
    fn deliver(&mut self) -> Result<(), Error> {
        for progress in self.mailbox.take() {
            self.progress();
            match progress {
                Progress::Written { tag, bytes } => {
                    if let Some(stream) = self.stream(tag) {
                        self.session.consumed(stream, bytes)?;
                    }
                }
                Progress::Broken { tag, error } => {
                    tracing::debug!("output {tag}: {error}");
                    if let Some(stream) = self.stream(tag) {
                        self.session.hang_up(stream)?;
                    }
                }
                Progress::Finished { tag } => self.outputs[tag].finished = true,
            }
        }
        Ok(())
    }

    fn stream(&self, tag: usize) -> Option<StreamId> {
        let of = if tag == 0 { StreamId::stdout } else { StreamId::stderr };
        self.process.map(of)
    }

    /// Output that moves puts off the end of the wait for it.
    fn progress(&mut self) {
        if let Phase::Exited { until, .. } = &mut self.phase {
            *until = Instant::now() + GRACE;
        }
    }

    /// The DomU's own end. It is no news after the process's.
    fn domain_events(&mut self) -> Result<(), Error> {
        while let Some(event) = self.ctx.next_event()? {
            if event.domid != self.domid || matches!(self.phase, Phase::Exited { .. }) {
                continue;
            }
            // What the guest sent before it went is still in the ring.
            self.listen()?;
            if self.report.is_none() && !matches!(self.phase, Phase::Exited { .. }) {
                self.report = Some(ended(&event.kind));
            }
        }
        Ok(())
    }

    /// The process has ended and all of its output is written.
    fn complete(&self) -> Option<Report> {
        match self.phase {
            Phase::Exited { status, .. } if self.outputs.iter().all(|o| o.finished) => {
                Some(Report::exited(status.shell_code()))
            }
            _ => None,
        }
    }
}

fn tag(stream: StreamId) -> usize {
    usize::from(stream.kind == StreamKind::Stderr)
}

fn left(until: Instant) -> Duration {
    until.saturating_duration_since(Instant::now())
}

fn ended(kind: &EventKind) -> Report {
    let text = match kind {
        EventKind::Shutdown(reason) => format!("the DomU went down by itself ({reason})"),
        EventKind::Death => "the DomU was destroyed by somebody else".to_owned(),
    };
    let code = if matches!(kind, EventKind::Death) { KILLED } else { ENGINE_FAILED };
    Report::failed(code, text)
}
