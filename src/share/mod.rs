//! A directory or a file of this host for a guest: a server of 9P2000.L, the
//! protocol that Linux mounts as file system `9p`.
//!
//! [`Connection`] takes a guest's bytes and gives the answers; what carries them
//! is not known here. The guest is hostile and root:
//!
//! - A fid is a file descriptor of one inode, opened with `O_PATH` from that of
//!   its directory, one name at a time, `RESOLVE_BENEATH` and never through a
//!   symbolic link (openat2(2)). There are no paths, so there is nothing to race
//!   with; `..` is no name, and links are text that the guest resolves.
//! - Only regular files and directories are ever opened. Device nodes, FIFOs and
//!   sockets are the guest's business, and nobody makes a device node here. Files
//!   of procfs are not opened: root's view of `/proc/self` is the monitor's memory.
//! - Memory is bounded by [`MSIZE`], file descriptors by a number of fids.
//! - A read-only share refuses each request that writes.
//!
//! Owners, groups and modes are the host's. Who may do what in the guest is for
//! the guest's kernel to say, which sends along whom new files belong to.

mod attributes;
mod connection;
mod directory;
mod fids;
mod files;
mod message;
mod names;
mod node;
mod server;
mod sys;
#[cfg(test)]
mod tests;
mod wire;

pub use connection::{Connection, MSIZE};
pub use message::decode;
pub use server::Export;
pub use wire::Error;
