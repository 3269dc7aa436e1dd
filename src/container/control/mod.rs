//! How commands talk to a container's monitor: a socket in the monitor's
//! directory, vxn-proto's frames, messages of our own.
//!
//! A client says what it wants and is answered; one that attaches or executes a
//! process then carries its streams, each with a window, like a guest does. Only
//! root gets this far: the directory and the socket are root's, and the kernel's
//! word on who called is checked as well.

mod clients;
mod connection;
mod message;

use std::path::{Path, PathBuf};

pub use clients::{ClientId, Clients, Heard};
pub use connection::{Connection, Error};
pub use message::{Departure, STREAMS, ToClient, ToMonitor};

/// The socket in the directory of a helper's monitor, to which nobody comes.
pub fn helper_socket(run: &Path) -> PathBuf {
    run.join("helper.sock")
}

/// The socket in the directory of a container's monitor.
pub fn socket(run: &Path) -> PathBuf {
    run.join("control.sock")
}
