//! Seccomp filters: from docker's profiles and OCI's configurations to the program that
//! the guest loads.
//!
//! [`Choice`] says which profile, [`profile`] reads docker's format into OCI's, and
//! [`compile()`] makes a [`Filter`] of that, on this host: the guest has its architecture,
//! and a profile that is wrong is told before there is a DomU. libseccomp does the work, as
//! it does for runc.

mod choice;
mod compile;
mod filter;
mod newer;
pub mod profile;

use std::io;
use std::path::PathBuf;

pub use choice::Choice;
pub use compile::{ACTIONS, ARCHITECTURES, FLAGS, KNOWN_FLAGS, OPERATORS, compile};
pub use filter::Filter;

/// Why there is no filter.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A profile cannot be read.
    #[error("opening seccomp profile ({}) failed: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's words.
        source: io::Error,
    },
    /// A profile is not in docker's format.
    #[error("decoding seccomp profile ({}) failed: {why}", path.display())]
    Decode {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// Nobody has installed a default profile.
    #[error("there is no default seccomp profile: neither {} is there", choice::PATHS.join(" nor "))]
    NoDefault,
    /// It asks for what the guest cannot do.
    #[error("seccomp: {what} is not supported: {why}")]
    Refused {
        /// What was asked for.
        what: String,
        /// Why it is refused.
        why: &'static str,
    },
    /// libseccomp does not take it.
    #[error("seccomp: cannot {what}: {source}")]
    Library {
        /// What it was to do.
        what: String,
        /// Its words.
        source: libseccomp::error::SeccompError,
    },
    /// The program could not be read back from libseccomp.
    #[error("seccomp: cannot read the filter: {0}")]
    Export(#[source] io::Error),
    /// The kernel takes no program of this length.
    #[error("seccomp: the filter has {0} instructions, the kernel takes {most}", most = vxn_proto::MAX_PROGRAM)]
    Long(usize),
}

impl Error {
    /// What to do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Error::NoDefault => Some(
                "install Debian's golang-github-containers-common, or name a file with \
                 --security-opt seccomp=FILE",
            ),
            Error::Long(_) => Some("name fewer system calls or architectures in the profile"),
            _ => None,
        }
    }
}

/// What can fail here.
pub type Result<T> = std::result::Result<T, Error>;
