//! Why xenstore did not do it.

use std::io;
use std::path::PathBuf;

/// The result of a xenstore operation.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why xenstore did not do it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no daemon to talk to.
    #[error("xenstored is not running ({}: {error})", socket.display())]
    NotRunning {
        /// Where it should listen.
        socket: PathBuf,
        /// What connecting gave.
        error: io::Error,
    },
    /// The daemon talks to root only.
    #[error("no permission to talk to xenstored ({})", socket.display())]
    PermissionDenied {
        /// Where it listens.
        socket: PathBuf,
    },
    /// An operation on a node failed.
    #[error("cannot {verb} {path} in xenstore: {error}")]
    Node {
        /// `read`, `write`, `list`, `remove`, `watch`, …
        verb: &'static str,
        /// The node.
        path: String,
        /// The reason.
        error: io::Error,
    },
    /// A transaction cannot be started or ended.
    #[error("a xenstore transaction failed: {0}")]
    Transaction(io::Error),
    /// Others changed the same nodes again and again.
    #[error("a xenstore transaction still conflicts with others after {0} attempts")]
    Conflict(u32),
}
