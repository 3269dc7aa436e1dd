//! What is known of the containers of one caller, below its `--root`.
//!
//! ```text
//! ROOT/ID/state.json   which container of the engine it is, and what the caller said
//!        /lock         held while it is created, and while it is removed
//! ```
//!
//! The same id may be in use below another root: the engine's own ids are unique. Who
//! holds the lock in the directory has the id; without a `state.json` and with a free lock,
//! the command that was to create the container was killed, and the id is free.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use oci_spec::runtime::Hooks;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::claim::forget;
pub use super::claim::{Claim, Taken};
use super::error::at;
use super::{Error, Result, SPEC_VERSION};
use crate::container::ContainerId;
use crate::container::condition::{Live, Phase};
use crate::state::Lock;

/// A container as its caller knows it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Record {
    /// The caller's id.
    pub id: String,
    /// The engine's.
    pub container: ContainerId,
    /// The process that stands for the container's.
    pub pid: u32,
    /// The bundle's directory.
    pub bundle: PathBuf,
    /// Its root file system.
    pub rootfs: PathBuf,
    /// When it was created.
    pub created: Timestamp,
    /// The configuration's annotations.
    pub annotations: HashMap<String, String>,
    /// The control group of `pid`, if it has one of its own.
    pub cgroup: Option<PathBuf>,
    /// What is run at its start and its deletion.
    #[serde(default)]
    pub hooks: Hooks,
}

/// How a container is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It waits to be started, or is on its way.
    Created,
    /// Its process runs.
    Running,
    /// The CPUs of its DomU stand still.
    Paused,
    /// It has ended.
    Stopped,
}

impl Status {
    /// The specification's word.
    pub fn word(self) -> &'static str {
        match self {
            Status::Created => "created",
            Status::Running => "running",
            Status::Paused => "paused",
            Status::Stopped => "stopped",
        }
    }
}

/// The containers below one root.
#[derive(Debug, Clone)]
pub struct States {
    root: PathBuf,
}

pub(super) const STATE: &str = "state.json";
/// Locked by whoever creates the container.
pub(super) const LOCK: &str = "lock";

/// The longest id; a file name has room for no more.
const MAX_ID: usize = 255;

impl States {
    /// Those below `root`, which need not be there.
    pub fn new(root: &Path) -> States {
        States { root: root.to_owned() }
    }

    /// Claims `id`.
    ///
    /// # Errors
    /// [`Error::Id`] and [`Error::Exists`].
    pub fn claim(&self, id: &str) -> Result<Claim> {
        let dir = self.dir(id)?;
        fs::create_dir_all(&self.root).map_err(at(&self.root))?;
        match fs::create_dir(&dir) {
            Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(at(&dir)(e)),
            _ => {}
        }
        let lock = match Lock::try_exclusive(&dir.join(LOCK)) {
            Ok(lock) => lock.ok_or(Error::Exists)?,
            // Its owner has given it up this moment.
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Err(Error::Exists),
            Err(e) => return Err(at(&dir)(e)),
        };
        if dir.join(STATE).exists() {
            return Err(Error::Exists);
        }
        Ok(Claim { dir, kept: false, _lock: lock })
    }

    /// The container `id`.
    ///
    /// # Errors
    /// [`Error::NoSuchContainer`], also for one that is just being created.
    pub fn find(&self, id: &str) -> Result<Record> {
        let path = self.dir(id)?.join(STATE);
        match fs::read(&path) {
            Ok(json) => serde_json::from_slice(&json).map_err(|e| at(&path)(e.into())),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Err(Error::NoSuchContainer),
            Err(e) => Err(at(&path)(e)),
        }
    }

    /// All of them, by id.
    ///
    /// # Errors
    /// The root cannot be read.
    pub fn list(&self) -> Result<Vec<Record>> {
        let entries = match fs::read_dir(&self.root) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(at(&self.root))?,
        };
        let mut found = Vec::new();
        for entry in entries {
            let name = entry.map_err(at(&self.root))?.file_name();
            match self.find(&name.to_string_lossy()) {
                Ok(record) => found.push(record),
                Err(Error::NoSuchContainer | Error::Id(_)) => {}
                Err(e) => tracing::warn!("{e}"),
            }
        }
        found.sort_by(|one: &Record, other: &Record| one.id.cmp(&other.id));
        Ok(found)
    }

    /// Takes the container `id` for its removal. Whoever creates or removes it is waited
    /// for; what a killed `create` has left goes.
    ///
    /// # Errors
    /// [`Error::NoSuchContainer`]; what is written of it cannot be read.
    pub fn take(&self, id: &str) -> Result<Taken> {
        let dir = self.dir(id)?;
        let lock = match Lock::exclusive(&dir.join(LOCK)) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Err(Error::NoSuchContainer),
            lock => lock.map_err(at(&dir))?,
        };
        match self.find(id) {
            Ok(record) => Ok(Taken { record, dir, _lock: lock }),
            Err(Error::NoSuchContainer) => {
                forget(&dir).map_err(at(&dir))?;
                Err(Error::NoSuchContainer)
            }
            Err(e) => Err(e),
        }
    }

    fn dir(&self, id: &str) -> Result<PathBuf> {
        let good = |byte: u8| byte.is_ascii_alphanumeric() || b"_+-.".contains(&byte);
        let odd = matches!(id, "" | "." | "..") || id.len() > MAX_ID || !id.bytes().all(good);
        if odd { Err(Error::Id(id.to_owned())) } else { Ok(self.root.join(id)) }
    }
}

impl Record {
    /// How it is, by the word of its monitor below `run`.
    ///
    /// # Errors
    /// That cannot be read.
    pub fn status(&self, run: &Path) -> Result<Status> {
        let live = self.live(run);
        Ok(match Live::read(&live).map_err(at(&live))?.map(|live| live.phase) {
            None => Status::Stopped,
            Some(Phase::Starting | Phase::Restarting) => Status::Created,
            Some(Phase::Running) => Status::Running,
            Some(Phase::Paused) => Status::Paused,
        })
    }

    /// Its state in the specification's words, for hooks: `status` may be one that nobody
    /// else sees.
    pub fn state(&self, status: &str) -> Value {
        let mut state = json!({
            "ociVersion": SPEC_VERSION,
            "id": self.id,
            "status": status,
            "bundle": self.bundle,
            "annotations": self.annotations,
        });
        if status != Status::Stopped.word() {
            state["pid"] = self.pid.into();
        }
        state
    }

    /// The directory that its monitor has while it lives.
    pub fn live(&self, run: &Path) -> PathBuf {
        run.join("containers").join(self.container.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_one_owner_and_is_free_after_it() {
        let root = tempfile::tempdir().unwrap();
        let states = States::new(&root.path().join("r"));
        let claim = states.claim("web").unwrap();
        assert!(matches!(states.claim("web"), Err(Error::Exists)));
        assert!(matches!(states.find("web"), Err(Error::NoSuchContainer)), "not created yet");
        drop(claim);
        let claim = states.claim("web").unwrap();
        let record = Record {
            id: "web".into(),
            container: ContainerId::random().unwrap(),
            pid: 7,
            bundle: "/b".into(),
            rootfs: "/b/rootfs".into(),
            created: Timestamp::UNIX_EPOCH,
            annotations: HashMap::new(),
            cgroup: None,
            hooks: Hooks::default(),
        };
        claim.record(&record).unwrap();
        claim.keep();
        assert_eq!(states.find("web").unwrap().pid, 7);
        assert_eq!(states.list().unwrap().len(), 1);
        assert_eq!(record.status(root.path()).unwrap(), Status::Stopped);
        let state = record.state("creating");
        assert_eq!((&state["pid"], &state["bundle"]), (&7.into(), &"/b".into()));
        assert_eq!(record.state("stopped").get("pid"), None);
        let taken = states.take("web").unwrap();
        let other = std::thread::spawn({
            let states = states.clone();
            move || matches!(states.take("web"), Err(Error::NoSuchContainer))
        });
        taken.forget().unwrap();
        assert!(other.join().unwrap(), "one of two removes it");
        assert!(!root.path().join("r/web").exists());
    }

    #[test]
    fn the_id_of_a_killed_create_is_free() {
        let root = tempfile::tempdir().unwrap();
        let states = States::new(root.path());
        fs::create_dir(root.path().join("web")).unwrap();
        fs::write(root.path().join("web").join(LOCK), "").unwrap();
        let claim = states.claim("web").unwrap();
        assert!(matches!(states.claim("web"), Err(Error::Exists)));
        drop(claim);
        assert!(!root.path().join("web").exists());
        fs::create_dir(root.path().join("web")).unwrap();
        assert!(matches!(states.take("web"), Err(Error::NoSuchContainer)));
        assert!(!root.path().join("web").exists(), "what was left is gone");
    }

    #[test]
    fn an_id_is_a_file_name() {
        let states = States::new(Path::new("/nonexistent"));
        for id in ["", ".", "..", "a/b", "a b", "\n"] {
            assert!(matches!(states.find(id), Err(Error::Id(_))), "{id:?}");
        }
        assert!(matches!(states.find("a.b-c_d+1"), Err(Error::NoSuchContainer)));
    }
}
