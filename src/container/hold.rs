//! A container that is created now and started later: an OCI runtime's two steps.
//!
//! The caller's `create` starts the monitor and leaves it waiting; `start` is a client
//! like any other. Until then there is no DomU.

use std::io;
use std::os::unix::net::UnixStream;
use std::process::Stdio;

use nix::errno::Errno;
use nix::poll::{PollFd, PollTimeout, poll};
use nix::sys::signal::Signal;
use nix::sys::signalfd::SignalFd;
use vxn_proto::Frame;

use super::control::{self, ClientId, Connection, Heard, ToClient, ToMonitor};
use super::desk::Desk;
use super::front;
use super::monitor::{Error, io_error};
use super::order::Order;
use super::report::{self, ENGINE_FAILED, KILLED, Report};
use super::talk::{Outcome, Talk, Until};

/// What a monitor passes on besides when it stands for the process: all that tells of
/// no fault of the monitor's own, and that it does not need itself.
pub const SIGNALS: [Signal; 15] = [
    Signal::SIGALRM,
    Signal::SIGCONT,
    Signal::SIGIO,
    Signal::SIGPROF,
    Signal::SIGPWR,
    Signal::SIGSTKFLT,
    Signal::SIGTSTP,
    Signal::SIGTTIN,
    Signal::SIGTTOU,
    Signal::SIGURG,
    Signal::SIGVTALRM,
    Signal::SIGWINCH,
    Signal::SIGXCPU,
    Signal::SIGXFSZ,
    Signal::SIGABRT,
];

/// A monitor that waits for the word to start. Dropped before [`Held::leave`], its
/// container ends.
#[derive(Debug)]
pub struct Held {
    monitor: std::process::Child,
    connection: Connection,
}

impl Held {
    /// Starts the monitor of `order`, which is to be held, with the container's stdin,
    /// stdout and stderr.
    ///
    /// # Errors
    /// A report of why there is none; nothing is left then.
    pub fn create(order: &Order, streams: [Stdio; 3]) -> Result<Held, Report> {
        let failed = |e: io::Error| {
            Report::failed(ENGINE_FAILED, format!("cannot start the container's monitor: {e}"))
        };
        let (mut link, theirs) = UnixStream::pair().map_err(failed)?;
        // What is written to the container's stderr is the container's.
        let mut monitor = front::spawn(theirs.into(), streams, Some("off")).map_err(failed)?;
        if let Err(e) = report::send(&mut link, order) {
            tracing::debug!("the monitor did not take its order: {e}");
        }
        let mut connection = Connection::over(link);
        match first_word(&mut connection) {
            Ok(ToClient::Ended(report)) => {
                monitor.wait().map_err(failed)?;
                Err(report)
            }
            Ok(_) => Ok(Held { monitor, connection }),
            Err(e) => {
                monitor.wait().map_err(failed)?;
                Err(front::monitor_died(&order.plan, &e))
            }
        }
    }

    /// Process id of the monitor, which stands for the container's process.
    pub fn pid(&self) -> u32 {
        self.monitor.id()
    }

    /// Lets the container be: it no longer ends with this process.
    ///
    /// # Errors
    /// The system's; a monitor that is gone shows later.
    pub fn leave(mut self) -> Result<(), control::Error> {
        self.connection.send(&ToMonitor::Leave)
    }

    /// Ends the container, which has not run, and returns when its monitor is gone.
    pub fn end(self) {
        let Held { mut monitor, connection } = self;
        // It ends with whoever creates it.
        drop(connection);
        if let Err(e) = monitor.wait() {
            tracing::debug!("the monitor: {e}");
        }
    }

    /// Starts the container and stays with it to its end; `signals` are for its process.
    /// Who has the other end of `told` learns that it runs, as [`Talk::telling`] says.
    ///
    /// # Errors
    /// The monitor was killed.
    pub fn run(mut self, signals: SignalFd, told: UnixStream) -> Result<Report, control::Error> {
        self.connection.send(&ToMonitor::Start)?;
        let talk = Talk::new(self.connection, signals, None, Until::Ended);
        let ended = talk.telling(told).run()?;
        self.monitor.wait()?;
        match ended {
            Outcome::Ended(report) => Ok(report),
            Outcome::Left | Outcome::Interrupted(_) => Err(control::Error::Protocol),
        }
    }
}

fn first_word(connection: &mut Connection) -> Result<ToClient, control::Error> {
    loop {
        if let Some(frame) = connection.receive()?.into_iter().next() {
            return match frame {
                Frame::Message(message) => Ok(message),
                _ => Err(control::Error::Protocol),
            };
        }
    }
}

/// The monitor's side: waits for the word to start. Returns how the container ended
/// if that never came.
///
/// # Errors
/// The poll's.
pub fn until_started(desk: &mut Desk) -> Result<Option<Report>, Error> {
    // Before the creator hears that it is there.
    desk.tell(|_| {}).map_err(io_error("the state of the container"))?;
    loop {
        desk.clients.flush();
        wait(desk).map_err(io_error("the wait for the start"))?;
        while let Ok(Some(info)) = desk.signals.read_signal() {
            let number = info.ssi_signo as u8;
            if ends(number) {
                return Ok(Some(ended_by(number)));
            }
        }
        let mut starter = None;
        for (client, heard) in desk.clients.hear() {
            match decide(desk, client, heard) {
                Decision::Wait => {}
                Decision::Start if starter.is_none() => starter = Some(client),
                Decision::Start => {
                    let message = "cannot start an already running container".to_owned();
                    desk.clients.tell(client, &ToClient::Refused { message });
                }
                Decision::End(report) => return Ok(Some(report)),
            }
        }
        if starter.is_some() {
            desk.front = starter;
            return Ok(None);
        }
    }
}

fn wait(desk: &Desk) -> io::Result<()> {
    let signals = std::os::fd::AsFd::as_fd(&desk.signals);
    let mut fds = vec![PollFd::new(signals, nix::poll::PollFlags::POLLIN)];
    fds.extend(desk.clients.interest().into_iter().map(|(fd, flags)| PollFd::new(fd, flags)));
    match poll(&mut fds, PollTimeout::NONE) {
        Ok(_) | Err(Errno::EINTR) => Ok(()),
        Err(e) => Err(e.into()),
    }
}

enum Decision {
    Wait,
    Start,
    End(Report),
}

/// What a client's wish means for a container that does not run yet.
fn decide(desk: &mut Desk, client: ClientId, heard: Heard) -> Decision {
    match heard {
        Heard::Message(ToMonitor::Start) => Decision::Start,
        Heard::Message(ToMonitor::Signal { signal }) => {
            desk.clients.tell(client, &ToClient::Done);
            if ends(signal) { Decision::End(ended_by(signal)) } else { Decision::Wait }
        }
        Heard::Message(ToMonitor::Stop { .. } | ToMonitor::Destroy) => {
            Decision::End(ended_by(Signal::SIGKILL as u8))
        }
        Heard::Message(ToMonitor::Leave) => {
            if desk.is_front(client) {
                desk.front = None;
            }
            Decision::Wait
        }
        // Whoever creates it has not got as far as to tell anybody of it.
        Heard::Gone if desk.is_front(client) => {
            Decision::End(Report::failed(KILLED, "the command that created it was killed"))
        }
        Heard::Message(
            ToMonitor::Pause
            | ToMonitor::Unpause
            | ToMonitor::Attach { .. }
            | ToMonitor::Exec { .. }
            | ToMonitor::Connect(_)
            | ToMonitor::Disconnect(_),
        ) => {
            let message = "container not running: it was not started yet".to_owned();
            desk.clients.tell(client, &ToClient::Refused { message });
            Decision::Wait
        }
        Heard::Message(_) | Heard::Stdin(_) | Heard::StdinEnd | Heard::Gone => Decision::Wait,
    }
}

/// A process that has not begun has no handlers: a signal does what it does by default.
fn ends(number: u8) -> bool {
    use Signal::{SIGCHLD, SIGCONT, SIGTSTP, SIGTTIN, SIGTTOU, SIGURG, SIGWINCH};
    let harmless = [SIGCHLD, SIGCONT, SIGTSTP, SIGTTIN, SIGTTOU, SIGURG, SIGWINCH];
    !harmless.iter().any(|signal| *signal as u8 == number)
}

fn ended_by(number: u8) -> Report {
    Report::failed(128_u8.saturating_add(number), "killed before the process ran")
}

#[cfg(test)]
mod tests {
    use super::super::control::Clients;
    use super::super::monitor::signal_fd;
    use super::*;

    fn desk(dir: &std::path::Path) -> (Desk, Connection) {
        let clients = Clients::listen(&control::socket(dir)).unwrap();
        let mut desk = Desk::new(clients, signal_fd(&[]).unwrap(), None, Some(dir.to_owned()));
        let (ours, theirs) = UnixStream::pair().unwrap();
        desk.front = Some(desk.clients.adopt(theirs).unwrap());
        (desk, Connection::over(ours))
    }

    fn outcome(words: &[ToMonitor]) -> Option<Report> {
        let dir = tempfile::tempdir().unwrap();
        let (mut desk, mut front) = desk(dir.path());
        words.iter().for_each(|word| front.send(word).unwrap());
        drop(front);
        until_started(&mut desk).unwrap()
    }

    #[test]
    fn a_start_starts_and_whoever_says_it_waits_for_it() {
        assert_eq!(outcome(&[ToMonitor::Leave, ToMonitor::Start]), None);
    }

    #[test]
    fn a_creator_that_dies_takes_the_container_along() {
        let report = outcome(&[]).unwrap();
        assert_eq!(report.code, KILLED);
    }

    #[test]
    fn signals_do_what_they_do_by_default() {
        let kill = |signal| ToMonitor::Signal { signal };
        assert_eq!(outcome(&[ToMonitor::Leave, kill(28), kill(15)]).unwrap().code, 143);
        assert_eq!(outcome(&[ToMonitor::Leave, ToMonitor::Destroy]).unwrap().code, 137);
    }
}
