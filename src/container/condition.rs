//! How a container is: what its monitor says while it lives, and what is left of
//! its last life.

use std::fs;
use std::io;
use std::path::Path;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::health::Health;
use crate::state::write_atomic;

/// What is kept on disk of a container's last life; nothing before the first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum Recorded {
    /// A life has begun, and its end was not written down yet.
    Alive,
    /// The last life has ended.
    Exited(Ended),
}

/// How a life ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// Exit code of the main process, or of vxn when there was none.
    pub code: u8,
    /// What went wrong besides.
    pub error: Option<String>,
    /// When the process started, if it did.
    pub started: Option<Timestamp>,
    /// When it was over.
    pub finished: Timestamp,
    /// How often the monitor had started it again.
    pub restarts: u32,
    /// The user had asked for the end.
    pub by_user: bool,
    /// The guest had killed a process for want of memory.
    #[serde(default)]
    pub oom_killed: bool,
}

impl Ended {
    /// The end of a life whose monitor was killed, or whose host went down.
    pub fn abandoned(error: &str) -> Ended {
        let finished = Timestamp::now();
        let error = Some(error.to_owned());
        let (restarts, by_user, oom_killed) = (0, false, false);
        Ended { code: 137, error, started: None, finished, restarts, by_user, oom_killed }
    }
}

const RECORDED: &str = "state.json";

impl Recorded {
    /// Reads what is below the container's directory `home`.
    pub fn read(home: &Path) -> io::Result<Option<Recorded>> {
        read_json(&home.join(RECORDED))
    }

    /// Writes it; `durable` is worth a wait for the disk.
    pub fn write(&self, home: &Path, durable: bool) -> io::Result<()> {
        let (path, json) = (home.join(RECORDED), serde_json::to_vec_pretty(self)?);
        if durable { write_atomic(&path, &json) } else { fs::write(path, json) }
    }
}

/// What a living monitor says of its container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Live {
    /// How far it is.
    pub phase: Phase,
    /// When the process started, if it did.
    pub started: Option<Timestamp>,
    /// The DomU, while there is one.
    pub domid: Option<u32>,
    /// Process id of the monitor.
    pub monitor: u32,
    /// How often the monitor has started it again.
    pub restarts: u32,
    /// What its health checks have found, if it has any.
    #[serde(default)]
    pub health: Option<Health>,
}

/// How far a life is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// The DomU is made and boots.
    Starting,
    /// The process runs.
    Running,
    /// The DomU stands still.
    Paused,
    /// The next start is waited for.
    Restarting,
}

const LIVE: &str = "live.json";

impl Live {
    /// Reads what the monitor has written to its directory `run`.
    pub fn read(run: &Path) -> io::Result<Option<Live>> {
        read_json(&run.join(LIVE))
    }

    /// Writes it.
    pub fn write(&self, run: &Path) -> io::Result<()> {
        write_atomic(&run.join(LIVE), &serde_json::to_vec_pretty(self)?)
    }
}

fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> io::Result<Option<T>> {
    match fs::read(path) {
        Ok(json) => Ok(Some(serde_json::from_slice(&json)?)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}

/// How a container is, as people are told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// It was never started.
    Created,
    /// It has a monitor.
    Live(Live),
    /// It has ended.
    Exited(Ended),
}

impl Condition {
    /// docker's word for it.
    pub fn word(&self) -> &'static str {
        match self {
            Condition::Created => "created",
            Condition::Exited(_) => "exited",
            Condition::Live(live) => match live.phase {
                Phase::Starting | Phase::Running => "running",
                Phase::Paused => "paused",
                Phase::Restarting => "restarting",
            },
        }
    }

    /// What its monitor says, if it has one.
    pub fn live(&self) -> Option<&Live> {
        match self {
            Condition::Live(live) => Some(live),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_and_nothing_is_nothing() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Recorded::read(dir.path()).unwrap(), None);
        for recorded in [Recorded::Alive, Recorded::Exited(Ended::abandoned("x"))] {
            recorded.write(dir.path(), true).unwrap();
            assert_eq!(Recorded::read(dir.path()).unwrap(), Some(recorded));
        }
        fs::write(dir.path().join(RECORDED), "{").unwrap();
        assert!(Recorded::read(dir.path()).is_err());
    }
}
