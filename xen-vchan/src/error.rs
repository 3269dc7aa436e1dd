//! Why a channel could not be set up.

use std::io;

/// The result of setting up a channel.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a channel could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A device of the kernel cannot be opened; the module may be missing.
    #[error("cannot open {device}: {error}")]
    Device {
        /// `/dev/xen/…`.
        device: &'static str,
        /// The reason.
        error: io::Error,
    },
    /// An event channel cannot be bound (`xenevtchn_bind_*`).
    #[error("cannot bind an event channel to domain {domid}: {error}")]
    Bind {
        /// The other end.
        domid: u32,
        /// The reason.
        error: io::Error,
    },
    /// Pages cannot be shared (`xengntshr_share_*`). ENOSPC: the limit of the
    /// kernel, `/sys/module/xen_gntalloc/parameters/limit`, is reached.
    #[error("cannot share {pages} pages with domain {domid}: {error}")]
    Share {
        /// The other end.
        domid: u32,
        /// How many pages of 4 KiB.
        pages: usize,
        /// The reason.
        error: io::Error,
    },
    /// Pages cannot be mapped (`xengnttab_map_*`).
    #[error("cannot map {pages} pages of domain {domid}: {error}")]
    Map {
        /// The other end.
        domid: u32,
        /// How many pages of 4 KiB.
        pages: usize,
        /// The reason.
        error: io::Error,
    },
    /// There is no connection to xenstore (`xs_open`).
    #[error("cannot connect to xenstore: {0}")]
    NoXenstore(io::Error),
    /// A xenstore node cannot be read or written.
    #[error("cannot {verb} {path} in xenstore: {error}")]
    Xenstore {
        /// `read`, `write` or `remove`.
        verb: &'static str,
        /// The node.
        path: String,
        /// The reason.
        error: io::Error,
    },
    /// Nothing is published at this path.
    #[error("no channel is offered at {0}")]
    NoServer(String),
    /// A xenstore node holds no number.
    #[error("{0} in xenstore is not a number")]
    NotANumber(String),
    /// The size of a ring is over [`crate::MAX_RING`].
    #[error("a ring of {0} bytes is larger than 1 MiB")]
    RingSize(usize),
    /// The server shares rings of a shape that the protocol does not have.
    #[error("the other end offers rings of orders {left} and {right}")]
    BadRings {
        /// Order of the ring from client to server.
        left: u16,
        /// Order of the ring from server to client.
        right: u16,
    },
}
