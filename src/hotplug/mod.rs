//! The hotplug program that libxl runs for each disk and each network interface
//! (`disk.script`, `nic.script`), and what cleans up after it.
//!
//! It does the work of Xen's `block` and `vif-bridge` scripts without a shell:
//! xenstore, a few ioctls, one netlink socket. libxl hands a device over in
//! `$XENBUS_PATH` when the backend is in state InitWait, waits up to 40 s for the
//! exit status, and fails the operation if that is not 0 (for `remove` and
//! `offline` it is ignored).

mod claims;
mod disk;
mod loopdev;
mod nic;
mod reap;
mod request;
mod store;
mod sys;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

pub use loopdev::Marker;
pub use reap::{Reaped, reap_loops};
pub use request::{Backend, Request};
pub use store::Store;

use vxn_link::LinkError;

use crate::state::LockFile;
use crate::xenstore;

/// Held while loop devices are made, checked or removed.
pub const LOCK: &str = "/run/vxn/hotplug.lock";

/// Why a device could not be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Not called as libxl calls it.
    #[error("to be run by libxl as disk.script or nic.script, not like this: {0}")]
    Usage(String),
    /// A system call failed.
    #[error("cannot {action} {}: {error}", path.display())]
    Io {
        /// What was tried, an infinitive.
        action: &'static str,
        /// On which file or device.
        path: PathBuf,
        /// The system's words.
        error: io::Error,
    },
    /// A node that libxl always writes is not there.
    #[error("{0} is missing in xenstore")]
    Missing(String),
    /// A node has a value that makes no sense.
    #[error("{path} in xenstore is {value:?}")]
    Nonsense {
        /// The node.
        path: String,
        /// What it says.
        value: String,
    },
    /// The device was removed while it was being set up.
    #[error("{0} was removed while its device was set up")]
    Gone(String),
    /// A disk is neither a file nor a block device.
    #[error("{}: neither a file nor a block device", .0.display())]
    NotADisk(PathBuf),
    /// Somebody else uses the disk in a way that excludes this one.
    #[error(
        "{}: cannot be attached {}, it is in use {how} by {holder}",
        path.display(),
        if *writable { "for writing" } else { "read-only" }
    )]
    InUse {
        /// The disk that was asked for.
        path: PathBuf,
        /// How it was asked for.
        writable: bool,
        /// Who has it.
        holder: String,
        /// How they have it.
        how: &'static str,
    },
    /// The bridge of a network interface does not exist.
    #[error("bridge {0} does not exist")]
    NoBridge(String),
    /// What was named as a bridge is another kind of network device.
    #[error("{0} is not a bridge")]
    NotABridge(String),
    /// The kernel refused a change to a network device.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// xenstore failed.
    #[error(transparent)]
    Store(#[from] xenstore::Error),
}

impl Error {
    fn io(action: &'static str, path: &Path, error: io::Error) -> Error {
        Error::Io { action, path: path.to_owned(), error }
    }
}

/// The result of everything in this room.
pub type Result<T> = std::result::Result<T, Error>;

/// Does what `request` says. On failure the backend's `hotplug-error` says why,
/// which libxl logs.
pub fn run(request: &Request, store: &impl Store, lock_file: &Path) -> Result<()> {
    let done = match request {
        Request::AddDisk(backend) => lock(lock_file).and_then(|_lock| disk::add(backend, store)),
        Request::RemoveDisk(backend) => lock(lock_file).and_then(|_lock| disk::remove(backend)),
        Request::NicOnline(backend, device) => nic::online(backend, device, store),
        Request::NicOffline(_, device) => nic::offline(device),
    };
    done.inspect_err(|error| {
        let backend = request.backend();
        let nodes = [
            (backend.node("hotplug-error"), error.to_string().into_bytes()),
            (backend.node("hotplug-status"), b"error".to_vec()),
        ];
        // The error itself goes to stderr; a store that fails has nothing to add.
        let _ = store.publish(&backend.node("state"), &nodes);
    })
}

/// One hotplug program at a time: a check for other users of a disk and what
/// follows from it are one step.
fn lock(path: &Path) -> Result<LockFile> {
    let made = path.parent().map_or(Ok(()), fs::create_dir_all);
    made.and_then(|()| LockFile::exclusive(path)).map_err(|e| Error::io("lock", path, e))
}

#[cfg(test)]
mod tests;
