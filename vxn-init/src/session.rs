//! The guest at work: starts processes, carries their streams, reports how they
//! end. One thread and one poll(2); nothing here waits for anything else.

use std::{collections::BTreeMap, os::fd::AsFd};

use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::{
        signal::{SigSet, Signal},
        signalfd::{SfdFlags, SignalFd},
        wait::{WaitPidFlag, WaitStatus, waitpid},
    },
    unistd::Pid,
};
use vxn_proto::{ExitStatus, Frame, Network, ProcessId, StartFailure, StreamId, ToGuest, ToHost};

use crate::{
    Error, Result,
    channel::{Channel, Transport, short},
    container::{Container, Failure},
    error::Context,
    look,
    modules::Modules,
    network::Nics,
    oom::{self, Pressure},
    process::Process,
    share,
    stdio::Ends,
};

/// Processes that may run at once.
const MAX_PROCESSES: usize = 256;

/// Why a session is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The host said so.
    PowerOff,
    /// The host is gone.
    HostGone,
}

/// The state of a guest that is set up.
#[derive(Debug)]
pub struct Session<'a, T> {
    channel: &'a mut Channel<T>,
    container: Container,
    nics: Nics,
    modules: &'a mut Modules,
    processes: BTreeMap<ProcessId, Process>,
    children: SignalFd,
    pressure: Pressure,
}

impl<'a, T: Transport> Session<'a, T> {
    /// A session without processes. From here on SIGCHLD is blocked.
    ///
    /// # Errors
    /// The kernel's.
    pub fn new(
        channel: &'a mut Channel<T>,
        container: Container,
        nics: Nics,
        modules: &'a mut Modules,
    ) -> Result<Self> {
        let mut mask = SigSet::empty();
        mask.add(Signal::SIGCHLD);
        mask.thread_block().context("block SIGCHLD")?;
        let flags = SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC;
        let children = SignalFd::with_flags(&mask, flags).context("create a signalfd")?;
        Ok(Self {
            channel,
            container,
            nics,
            modules,
            processes: BTreeMap::new(),
            children,
            pressure: Pressure::watch(),
        })
    }

    /// Works until the host says stop or is gone; then every process is killed.
    ///
    /// # Errors
    /// The kernel's, the channel's, and a host that breaks the protocol.
    pub fn run(mut self) -> Result<End> {
        loop {
            if let Some(end) = self.receive()? {
                self.container.kill()?;
                return Ok(end);
            }
            self.reap()?;
            self.pump();
            self.channel.flush()?;
            self.wait()?;
        }
    }

    /// Waits until something can move.
    fn wait(&mut self) -> Result<()> {
        let mut fds =
            vec![self.channel.poll_fd(), PollFd::new(self.children.as_fd(), PollFlags::POLLIN)];
        fds.extend(self.processes.values().flat_map(Process::poll_fds));
        fds.extend(self.pressure.poll_fd());
        match poll(&mut fds, PollTimeout::NONE) {
            Err(Errno::EINTR) => return Ok(()),
            polled => polled.context("wait for something to do")?,
        };
        // Of all of them only the pressure is asked for this.
        let urgent = |fd: &PollFd| fd.revents().is_some_and(|e| e.contains(PollFlags::POLLPRI));
        if fds.iter().any(urgent) {
            oom::kill();
        }
        if fds[0].any().unwrap_or(false) { self.channel.acknowledge() } else { Ok(()) }
    }

    /// Takes what the host has sent.
    fn receive(&mut self) -> Result<Option<End>> {
        while let Some(frame) = self.channel.receive()? {
            match frame {
                Frame::Message(ToGuest::PowerOff) => return Ok(Some(End::PowerOff)),
                Frame::Message(message) => self.message(message)?,
                Frame::Data { stream, body } => {
                    if let Some(process) = self.processes.get_mut(&stream.process) {
                        process.data(&body)?;
                    }
                }
                Frame::Eof { stream } => {
                    if let Some(process) = self.processes.get_mut(&stream.process) {
                        process.end_input();
                    }
                }
            }
        }
        Ok(self.channel.closed().then_some(End::HostGone))
    }

    /// Does what a message asks. One about a process that has ended crossed
    /// its exit on the way, and is void.
    fn message(&mut self, message: ToGuest) -> Result<()> {
        match message {
            ToGuest::Configure(_) | ToGuest::PowerOff => {
                Err(Error::Protocol("the guest is configured once".into()))
            }
            ToGuest::Network(wanted) => self.network(wanted),
            ToGuest::Shares(shares) => {
                share::mount_all(&shares, self.modules, self.container.rootfs())?;
                self.container.share(shares);
                Ok(())
            }
            ToGuest::Query(query) => {
                let answer = look::answer(query, self.container.rootfs())?;
                self.channel.outbox.message(&ToHost::Answer(answer));
                Ok(())
            }
            ToGuest::Start { process, spec } => {
                self.start(process, |container| container.start(&spec))
            }
            ToGuest::Files { process, request } => {
                self.start(process, |container| Ok(container.work_on_files(&request)?))
            }
            ToGuest::Signal { process, signal } => {
                if let Some(process) = self.processes.get(&process) {
                    process.signal(signal);
                }
                Ok(())
            }
            ToGuest::Resize { process, size } => {
                self.processes.get(&process).map_or(Ok(()), |process| process.resize(size))
            }
            ToGuest::Window { stream: StreamId { process, kind }, bytes } => self
                .processes
                .get_mut(&process)
                .map_or(Ok(()), |process| process.credit(kind, bytes)),
            ToGuest::HangUp { stream: StreamId { process, kind } } => {
                if let Some(process) = self.processes.get_mut(&process) {
                    process.hang_up(kind, &mut self.channel.outbox);
                }
                Ok(())
            }
        }
    }

    /// A container that cannot have its network does not start; one that has started
    /// goes on with what there is.
    fn network(&mut self, wanted: Network) -> Result<()> {
        let error = match self.nics.apply(wanted, self.modules, self.container.rootfs()) {
            Ok(()) => None,
            Err(error) if self.nics.are_set_up() => Some(short(&error)),
            Err(error) => return Err(error),
        };
        self.channel.outbox.message(&ToHost::Networked { error });
        Ok(())
    }

    fn start(
        &mut self,
        id: ProcessId,
        begin: impl FnOnce(&mut Container) -> std::result::Result<(Pid, Ends), Failure>,
    ) -> Result<()> {
        if self.processes.contains_key(&id) {
            return Err(Error::Protocol(format!("process {} is already there", id.0)));
        }
        let (reason, message) = if self.processes.len() >= MAX_PROCESSES {
            (StartFailure::Other, format!("{MAX_PROCESSES} processes are running already"))
        } else {
            match begin(&mut self.container) {
                Ok((pid, ends)) => {
                    self.processes.insert(id, Process::new(id, pid, ends));
                    let pid = pid.as_raw().unsigned_abs();
                    self.channel.outbox.message(&ToHost::Started { process: id, pid });
                    return Ok(());
                }
                Err(failure) => (failure.reason, short(&failure.error)),
            }
        };
        self.channel.outbox.message(&ToHost::StartFailed { process: id, reason, message });
        Ok(())
    }

    /// Waits for every child that has ended: processes of the container, its
    /// reaper, and the orphans of the guest.
    fn reap(&mut self) -> Result<()> {
        while self.children.read_signal().context("read the signalfd")?.is_some() {}
        loop {
            match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::Exited(pid, code)) => {
                    // Linux keeps the low eight bits only.
                    self.ended(pid, ExitStatus::Code(code as u8))?;
                }
                Ok(WaitStatus::Signaled(pid, signal, _)) => {
                    self.ended(pid, ExitStatus::Signal(signal as u8))?;
                }
                Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD) => return Ok(()),
                Ok(_) | Err(Errno::EINTR) => {}
                Err(error) => return Err(error).context("wait for children"),
            }
        }
    }

    fn ended(&mut self, pid: Pid, status: ExitStatus) -> Result<()> {
        let running = self.processes.values_mut().find(|process| process.pid() == pid);
        if let Some(process) = running.filter(|process| !process.has_exited()) {
            process.exited(status);
        }
        self.container.reaped(pid)
    }

    /// Moves bytes both ways, and reports processes that have ended and whose
    /// output is all on its way.
    fn pump(&mut self) {
        let Self { channel, container, processes, .. } = self;
        processes.retain(|id, process| {
            let last = process.has_exited() && container.drained(process.pid());
            process.pump(&mut channel.outbox, last);
            let Some(status) = process.finished().filter(|_| last) else { return true };
            let oom_killed = container.oom_killed();
            channel.outbox.message(&ToHost::Exited { process: *id, status, oom_killed });
            false
        });
    }
}
