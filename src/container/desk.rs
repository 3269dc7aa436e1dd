//! What a monitor keeps over all lives of its container: its clients, its
//! signals, the log, and what it tells the world.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

use jiff::Timestamp;
use nix::sys::signalfd::SignalFd;
use vxn_proto::StreamKind;

use super::condition::{Live, Phase};
use super::control::{ClientId, Clients};
use super::log::Writer;

/// The monitor's desk.
#[derive(Debug)]
pub struct Desk {
    /// Whoever is connected.
    pub clients: Clients,
    /// The command that the monitor was started by, until it leaves. When it dies
    /// without a word, the container ends.
    pub front: Option<ClientId>,
    /// The monitor has the user's own stdin, stdout and stderr.
    pub inherited: bool,
    /// The monitor stands for the process: its signals are the process's.
    pub held: bool,
    /// Who watches the main process, and whether with stdin.
    pub watchers: BTreeMap<ClientId, bool>,
    /// Signals to the monitor itself.
    pub signals: SignalFd,
    /// The user wants the container to end.
    pub by_user: bool,
    log: Option<Writer>,
    live: Live,
    /// Where the world is told; a helper tells nobody.
    directory: Option<PathBuf>,
}

impl Desk {
    /// A desk of which the world learns in `directory`, if at all.
    pub fn new(
        clients: Clients,
        signals: SignalFd,
        log: Option<Writer>,
        directory: Option<PathBuf>,
    ) -> Desk {
        let monitor = std::process::id();
        let phase = Phase::Starting;
        let live = Live { phase, started: None, domid: None, monitor, restarts: 0, health: None };
        let (front, inherited, held, by_user) = (None, false, false, false);
        let watchers = BTreeMap::new();
        Desk { clients, front, inherited, held, watchers, signals, by_user, log, live, directory }
    }

    /// What the world is told.
    pub fn live(&self) -> &Live {
        &self.live
    }

    /// Tells the world something else.
    pub fn tell(&mut self, change: impl FnOnce(&mut Live)) -> io::Result<()> {
        change(&mut self.live);
        self.directory.as_deref().map_or(Ok(()), |directory| self.live.write(directory))
    }

    /// The process runs.
    pub fn started(&mut self) -> io::Result<()> {
        self.tell(|live| (live.phase, live.started) = (Phase::Running, Some(Timestamp::now())))
    }

    /// Keeps output. A log that cannot be written is given up: the container is
    /// worth more.
    pub fn keep(&mut self, kind: StreamKind, bytes: &[u8]) {
        let Some(log) = &mut self.log else { return };
        if let Err(e) = log.write(kind, bytes) {
            tracing::error!("the container's log ends here: {e}");
            self.log = None;
        }
    }

    /// Whether `client` is the command that started all this.
    pub fn is_front(&self, client: ClientId) -> bool {
        self.front == Some(client)
    }
}
