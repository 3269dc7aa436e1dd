//! What comes from the DomU, and from the threads of the inherited streams.

use std::io;
use std::os::fd::AsFd;
use std::time::{Instant, SystemTime};

use vxn_proto::{Configure, Entropy, Frame, ProcessId, StartFailure, StreamId, StreamKind, ToHost};

use super::super::control::ToClient;
use super::super::id::random_bytes;
use super::super::report::{ENGINE_FAILED, KILLED, NOT_EXECUTABLE, NOT_FOUND, Report};
use super::super::streams::{Input, Progress};
use super::files::answer;
use super::phase::Phase;
use super::{Attendance, Error, GRACE, Other, Work, write_back};
use crate::guest::{Event, Rest};
use crate::libxl::EventKind;

impl Attendance<'_> {
    /// Hands stdin on as far as the guest takes it.
    pub(super) fn feed(&mut self) -> Result<(), Error> {
        let Attendance { feeds, session, desk, .. } = self;
        feeds.retain(|&client, feed| feed.pump(client, session, &mut desk.clients));
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
    pub(super) fn listen(&mut self) -> Result<Rest, Error> {
        let mut events = Vec::new();
        let rest = self.channel.receive(|frame: Frame<ToHost>| -> Result<(), Error> {
            events.extend(self.session.receive(frame)?);
            Ok(())
        })?;
        for event in events {
            self.guest_event(event)?;
        }
        let waiting = matches!(self.phase, Phase::Booting { .. } | Phase::Running);
        if rest == Rest::Closed && waiting {
            self.phase = Phase::Silent { until: Instant::now() + GRACE };
        }
        Ok(rest)
    }

    fn guest_event(&mut self, event: Event) -> Result<(), Error> {
        match event {
            Event::Hello { version } => self.greet(version),
            Event::Started(process) => self.started(process),
            Event::StartFailed { process, reason, message } => {
                let code = match reason {
                    StartFailure::NotFound => NOT_FOUND,
                    StartFailure::NotExecutable => NOT_EXECUTABLE,
                    StartFailure::Other => ENGINE_FAILED,
                };
                self.ended(process, Report::failed(code, message))
            }
            Event::Output { stream, bytes } => self.output(stream, bytes),
            Event::OutputEnd(stream) => {
                let clients = &mut self.desk.clients;
                if Some(stream.process) == self.process {
                    self.outlets[index(stream.kind)].end(clients);
                    return Ok(());
                }
                self.returned_all(stream);
                let clients = &mut self.desk.clients;
                if let Some(client) = self.others.get(&stream.process).and_then(|o| o.client) {
                    clients.output_end(client, stream.kind);
                }
                Ok(())
            }
            Event::Exited { process, status, oom_killed } => {
                self.exited(process, Report { oom_killed, ..Report::exited(status.shell_code()) })
            }
            Event::Answer(answer) => {
                self.answered(answer);
                Ok(())
            }
            Event::Networked(error) => self.networked(error),
            Event::Failed(message) => {
                self.report = Some(self.broken(format!("the guest: {message}")));
                Ok(())
            }
        }
    }

    /// Answers the guest's hello, and has the process started right away.
    fn greet(&mut self, version: u32) -> Result<(), Error> {
        let time = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let entropy = Entropy(random_bytes::<64>()?.to_vec());
        let definition = &self.plan.definition;
        self.session.configure(Configure {
            version,
            entropy,
            time,
            hostname: definition.hostname.clone(),
            root: self.plan.guest_root(),
            container: self.plan.guest_settings(),
        })?;
        if !self.shares.told().is_empty() {
            self.session.shares(self.shares.told().to_vec())?;
        }
        self.tell_network()?;
        if self.plan.helper {
            self.phase = Phase::Running;
            if let Some(front) = self.desk.front {
                self.desk.clients.tell(front, &ToClient::Started);
            }
            return Ok(());
        }
        let process = self.session.start(definition.process.spec(self.size))?;
        self.process = Some(process);
        self.feeds.values_mut().for_each(|feed| feed.aim(process));
        if definition.process.tty {
            // A terminal has one output.
            self.outlets[1].end(&mut self.desk.clients);
        }
        Ok(())
    }

    fn started(&mut self, process: ProcessId) -> Result<(), Error> {
        if Some(process) != self.process {
            let Some(other) = self.others.get_mut(&process) else { return Ok(()) };
            let client = match &other.work {
                Work::Command { detached: true, .. } => other.client.take(),
                _ => other.client,
            };
            if let Work::Command { words, .. } = &other.work {
                let words = words.clone();
                self.tell_exec("exec_start", &words, process);
            }
            if let Some(client) = client {
                self.desk.clients.tell(client, &ToClient::Started);
            }
            return Ok(());
        }
        self.phase = Phase::Running;
        self.deadlines.timeout = self.plan.definition.timeout.map(|t| Instant::now() + t);
        self.desk.started()?;
        self.tell("start", &[]);
        self.begin_checks()?;
        if let Some(front) = self.desk.front {
            self.desk.clients.tell(front, &ToClient::Started);
        }
        if self.desk.inherited && self.plan.definition.process.stdin {
            let stdin = io::stdin().as_fd().try_clone_to_owned()?;
            self.input = Some(Input::spawn(stdin, &self.mailbox)?);
        }
        Ok(())
    }

    fn output(&mut self, stream: StreamId, bytes: Vec<u8>) -> Result<(), Error> {
        if Some(stream.process) == self.process {
            self.progress();
            self.desk.keep(stream.kind, &bytes);
            self.outlets[index(stream.kind)].put(bytes, &mut self.desk.clients);
        } else if let Some(client) = self.others.get(&stream.process).and_then(|o| o.client) {
            self.desk.clients.output(client, stream.kind, &bytes);
        } else if !self.returned(stream, &bytes)? {
            self.checks.hear(stream.process, &bytes);
            self.session.consumed(stream, bytes.len())?;
        }
        Ok(())
    }

    fn exited(&mut self, process: ProcessId, report: Report) -> Result<(), Error> {
        if Some(process) != self.process {
            return self.ended(process, report);
        }
        self.input = None;
        self.phase = Phase::Exited { report, until: Instant::now() + GRACE };
        Ok(())
    }

    /// A process is over, or never was.
    fn ended(&mut self, process: ProcessId, report: Report) -> Result<(), Error> {
        if Some(process) == self.process {
            self.report = Some(report);
            return Ok(());
        }
        let Some(Other { client, work }) = self.others.remove(&process) else { return Ok(()) };
        if work == Work::WriteBack {
            self.return_ended(report);
            return Ok(());
        }
        if work == Work::HealthCheck {
            return self.checked(process, report);
        }
        if let Work::Command { .. } = work {
            let code = ("exitCode", report.code.to_string());
            self.tell("exec_die", &[("execID", process.0.to_string()), code]);
        }
        if let Some(client) = client {
            self.feeds.remove(&client);
            let end = if work == Work::Files { answer(report) } else { ToClient::Ended(report) };
            self.desk.clients.tell(client, &end);
        }
        Ok(())
    }

    /// Gives the guest credit for what everybody has taken.
    pub(super) fn settle(&mut self) -> Result<(), Error> {
        let Some(process) = self.process else { return Ok(()) };
        for (kind, outlet) in
            [StreamKind::Stdout, StreamKind::Stderr].into_iter().zip(&mut self.outlets)
        {
            let taken = outlet.settle();
            if taken > 0 {
                self.session.consumed(StreamId { process, kind }, taken)?;
            }
        }
        Ok(())
    }

    /// Takes what the stream threads have to say.
    pub(super) fn deliver(&mut self) -> Result<(), Error> {
        for progress in self.mailbox.take() {
            self.progress();
            match progress {
                Progress::Written { tag: write_back::TAG, bytes } => self.unpacked(bytes)?,
                Progress::Broken { tag: write_back::TAG, error } => self.not_unpacked(&error)?,
                Progress::Finished { tag: write_back::TAG } => self.unpacker_ended(),
                Progress::Written { tag, bytes } => self.outlets[tag].written(bytes),
                Progress::Broken { tag, error } => {
                    tracing::debug!("output {tag}: {error}");
                    let of = if tag == 0 { StreamId::stdout } else { StreamId::stderr };
                    if let Some(process) = self.process {
                        self.session.hang_up(of(process))?;
                    }
                }
                Progress::Finished { tag } => self.outlets[tag].finished(),
            }
        }
        Ok(())
    }

    /// Output that moves puts off the end of the wait for it.
    fn progress(&mut self) {
        if let Phase::Exited { until, .. } = &mut self.phase {
            *until = Instant::now() + GRACE;
        }
    }

    /// The DomU's own end. It is no news after the process's, but the end of the
    /// wait for the guest's writes.
    pub(super) fn domain_events(&mut self) -> Result<(), Error> {
        while let Some(event) = self.ctx.next_event()? {
            if event.domid != self.domid || matches!(self.phase, Phase::Exited { .. }) {
                continue;
            }
            // What the guest sent before it went is still in the ring.
            self.listen()?;
            if self.report.is_some() || matches!(self.phase, Phase::Exited { .. }) {
                continue;
            }
            self.report = Some(match &self.phase {
                Phase::PoweringOff { report, .. } => report.clone(),
                Phase::Returning { .. } if self.has_returned() => continue,
                Phase::Returning { report, .. } => self.not_returned(report, "the DomU is gone"),
                _ => gone(&event.kind),
            });
        }
        Ok(())
    }
}

pub(super) fn index(kind: StreamKind) -> usize {
    usize::from(kind == StreamKind::Stderr)
}

fn gone(kind: &EventKind) -> Report {
    let text = match kind {
        EventKind::Shutdown(reason) => format!("the DomU went down by itself ({reason})"),
        EventKind::Death => "the DomU was destroyed by somebody else".to_owned(),
    };
    let code = if matches!(kind, EventKind::Death) { KILLED } else { ENGINE_FAILED };
    Report::failed(code, text)
}
