//! What can go wrong in this room.

use std::io;
use std::path::{Path, PathBuf};

use super::Name;

/// Why a volume is not there, or does not go.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no volume of that name.
    #[error("no such volume: {0}")]
    Unknown(String),
    /// Containers use it, running or not.
    #[error("volume {name} is in use by {}", users.join(", "))]
    InUse {
        /// The volume.
        name: Name,
        /// Names of the containers.
        users: Vec<String>,
    },
    /// A file cannot be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's words.
        source: io::Error,
    },
}

impl Error {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Error::Unknown(_) => Some("`vxn volume ls` lists the volumes".to_owned()),
            Error::InUse { .. } => Some("remove those containers first: vxn rm".to_owned()),
            Error::Io { .. } => None,
        }
    }
}

/// For `map_err`: on which file.
pub(super) fn at(path: &Path) -> impl Fn(io::Error) -> Error + use<'_> {
    move |source| Error::Io { path: path.to_owned(), source }
}
