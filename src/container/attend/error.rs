//! Why attending ended without a process's end.

use std::io;

use nix::errno::Errno;

use crate::guest;

/// Something broke.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The conversation broke.
    #[error(transparent)]
    Guest(#[from] guest::Error),
    /// Bytes that are no frame.
    #[error("the guest broke the protocol: {0}")]
    Frame(#[from] vxn_proto::Error),
    /// The channel, a pty or the poll itself failed.
    #[error("cannot talk to the guest: {0}")]
    Io(#[from] io::Error),
    /// The leases cannot be read.
    #[error(transparent)]
    Network(#[from] crate::network::Error),
    /// libxl failed.
    #[error(transparent)]
    Libxl(#[from] crate::libxl::Error),
}

impl From<Errno> for Error {
    fn from(e: Errno) -> Error {
        Error::Io(e.into())
    }
}
