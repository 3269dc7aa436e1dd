//! Why a bundle is no container of ours.

use std::io;
use std::path::{Path, PathBuf};

use crate::seccomp;
use crate::tool;

/// What the caller is told.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The configuration does not follow the specification.
    #[error("{}: {why}", path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// It asks for what a DomU cannot be, or what vxn cannot do.
    #[error("{what} is not supported: {why}")]
    Refused {
        /// What was asked for.
        what: String,
        /// Why it is refused.
        why: &'static str,
    },
    /// The program is not in the root file system.
    #[error("exec: {program:?}: {why}")]
    Program {
        /// As the configuration names it.
        program: String,
        /// runc's words, which its callers look for.
        why: &'static str,
    },
    /// Its seccomp rules are none.
    #[error(transparent)]
    Seccomp(#[from] seccomp::Error),
    /// No container has this id.
    #[error("container does not exist")]
    NoSuchContainer,
    /// Another one has it.
    #[error("container with given ID already exists")]
    Exists,
    /// An id that is no file name.
    #[error("invalid container ID format: {0:?}")]
    Id(String),
    /// The root disk could not be made.
    #[error("cannot make the root disk of {}: {source}", rootfs.display())]
    Disk {
        /// The root file system.
        rootfs: PathBuf,
        /// What failed.
        source: tool::Error,
    },
    /// A hook did not do what it was to do.
    #[error("the {moment} hook {} failed: {why}", path.display())]
    Hook {
        /// When it was run.
        moment: &'static str,
        /// The program.
        path: PathBuf,
        /// How it failed.
        why: String,
    },
    /// The network namespace of the container.
    #[error(transparent)]
    Network(#[from] crate::network::Error),
    /// An annotation of ours that makes no sense.
    #[error("the annotation {name} = {value:?}: {why}")]
    Annotation {
        /// Its name.
        name: String,
        /// What it says.
        value: String,
        /// What is wrong with it.
        why: String,
    },
    /// A file or a socket.
    #[error("{}: {source}", path.display())]
    Io {
        /// Where it is.
        path: PathBuf,
        /// The system's words.
        source: io::Error,
    },
}

/// A result of this room.
pub type Result<T> = std::result::Result<T, Error>;

/// For `map_err`: which file it was.
pub(super) fn at(path: &Path) -> impl FnOnce(io::Error) -> Error {
    move |source| Error::Io { path: path.to_owned(), source }
}

/// What is refused, and why.
pub(super) fn refused(what: impl Into<String>, why: &'static str) -> Error {
    Error::Refused { what: what.into(), why }
}
