//! The seed's guests and verbs: DomUs that speak a protocol of marker lines on
//! their console (`docs/vcontainer.md`), and what the drop-in for `vrunner.sh`
//! asks of them.
//!
//! Each DomU has a monitor, the only one who reads its console. Others talk to
//! the monitor by a socket; it answers one after the other, so two users of one
//! console cannot take each other's bytes, and one who is killed leaves nothing
//! half-said behind.
//!
//! ```text
//! marker, reply, exchange    the protocol: bytes in, bytes out, no I/O
//! message                    what a verb and a monitor say to each other
//! order, monitor, attend     the DomU and the process that stays with it
//! console, client            the pty; a verb at the monitor's socket
//! net, dhcp                  the DomU's lease, and how it learns of it
//! front                      verbs: start a DomU, find its monitor, ask it
//! docker, prepare            from `docker run …` to an input directory
//! ```

mod attend;
mod client;
mod console;
mod dhcp;
pub mod docker;
pub mod exchange;
pub mod front;
mod jobs;
mod marker;
pub mod message;
pub mod monitor;
pub mod net;
pub mod order;
pub mod prepare;
pub mod reply;

use std::path::{Path, PathBuf};

use crate::container::reap;

/// Where the journal of these DomUs is, below vxn's directory for live state:
/// apart from that of vxn's own containers, which have another kind of monitor.
pub fn journal(run: &Path) -> PathBuf {
    run.join("backend")
}

/// Removes the DomUs whose monitors are dead, and what they had.
///
/// # Errors
/// What cannot be removed; the next call tries again.
pub fn clear_up(run: &Path) -> Result<(), reap::Error> {
    reap::abandoned_with(&journal(run), |id| net::release(run, id)).map(drop)
}
