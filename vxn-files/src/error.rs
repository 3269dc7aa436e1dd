//! What can go wrong between a tree and its archive.

use std::fmt::Display;
use std::io;

use rustix::io::Errno;

use crate::place::Refusal;

/// The result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a tree was not packed or unpacked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A system call failed.
    #[error("cannot {what}: {source}")]
    System {
        /// What was tried, on what.
        what: String,
        /// The kernel's answer.
        source: io::Error,
    },
    /// There is nothing at a path.
    #[error("could not find {0:?}")]
    NotFound(String),
    /// The source cannot go where it is to go.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// An entry of an archive that is not unpacked.
    #[error("{name:?} in the archive: {why}")]
    Entry {
        /// Its name, as the archive spells it.
        name: String,
        /// The rule that it breaks.
        why: &'static str,
    },
    /// Whoever takes the archive in cannot.
    #[error("{0}")]
    Taker(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The stream that carries the archive, or what it says of itself.
    #[error("the archive: {0}")]
    Stream(#[from] io::Error),
}

impl Error {
    /// The error of a caller who takes an archive in.
    pub fn taker(error: impl std::error::Error + Send + Sync + 'static) -> Error {
        Error::Taker(Box::new(error))
    }
}

/// Adds what was tried to an error of the kernel.
pub(crate) trait Context<T> {
    /// Completes the sentence "cannot `what`".
    fn context(self, what: impl Display) -> Result<T>;
}

impl<T> Context<T> for rustix::io::Result<T> {
    fn context(self, what: impl Display) -> Result<T> {
        self.map_err(|errno: Errno| Error::System { what: what.to_string(), source: errno.into() })
    }
}

/// An entry that breaks a rule.
pub(crate) fn entry(name: &[u8], why: &'static str) -> Error {
    Error::Entry { name: String::from_utf8_lossy(name).into_owned(), why }
}
