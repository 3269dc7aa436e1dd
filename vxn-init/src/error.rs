//! The error of vxn-init: what failed, on what, why in the kernel's words.

use std::{fmt::Display, io};

use nix::errno::Errno;

/// A failure that ends the guest, or the start of one process.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A system call failed.
    #[error("cannot {what}: {source}")]
    System {
        /// What was tried, on what.
        what: String,
        /// The kernel's answer.
        source: io::Error,
    },
    /// Dom0 broke the protocol.
    #[error("broken channel: {0}")]
    Protocol(String),
    /// Something else that explains itself.
    #[error("{0}")]
    Other(String),
}

/// Shorthand for results of this crate.
pub type Result<T> = std::result::Result<T, Error>;

impl From<vxn_proto::Error> for Error {
    fn from(error: vxn_proto::Error) -> Self {
        Self::Protocol(error.to_string())
    }
}

impl From<vxn_proto::Violation> for Error {
    fn from(error: vxn_proto::Violation) -> Self {
        Self::Protocol(error.to_string())
    }
}

/// Adds what was tried to a system error.
pub(crate) trait Context<T> {
    /// Completes the sentence "cannot `what`".
    fn context(self, what: impl Display) -> Result<T>;
}

impl<T> Context<T> for io::Result<T> {
    fn context(self, what: impl Display) -> Result<T> {
        self.map_err(|source| Error::System { what: what.to_string(), source })
    }
}

impl<T> Context<T> for nix::Result<T> {
    fn context(self, what: impl Display) -> Result<T> {
        self.map_err(io::Error::from).context(what)
    }
}

/// Whether an error only means "not now".
pub(crate) fn try_later(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

/// The error of a number that the kernel returned.
pub(crate) fn errno(number: i32) -> io::Error {
    Errno::from_raw(number).into()
}
