//! Channels that a DomU is offered, however many there are.

use std::{fs, io};

use nix::libc::ENOSPC;
use xen_vchan::{Error, Result, Vchan};

/// How many pages of 4 KiB programs of this host may share with guests in all: a
/// parameter of the module xen-gntalloc, 1024 when it is loaded. That is enough for
/// fifteen guests.
const LIMIT: &str = "/sys/module/xen_gntalloc/parameters/limit";
/// What it is raised to at most: 512 MiB, of which only what is shared is used.
const MOST: usize = 128 * 1024;

/// Publishes a channel with rings of `ring` bytes at `path` in xenstore for the domain
/// `domid`. Where the kernel's limit is reached, it is raised.
///
/// # Errors
/// Those of [`Vchan::serve`].
pub fn offer(domid: u32, path: &str, ring: usize) -> Result<Vchan> {
    match Vchan::serve(domid, path, ring, ring) {
        Err(Error::Share { error, .. }) if error.raw_os_error() == Some(ENOSPC) => {
            if let Err(e) = raise() {
                tracing::warn!("cannot raise {LIMIT}: {e}");
            }
            Vchan::serve(domid, path, ring, ring)
        }
        served => served,
    }
}

/// Doubles the limit.
fn raise() -> io::Result<()> {
    let more = doubled(&fs::read_to_string(LIMIT)?).ok_or_else(|| {
        io::Error::other(format!("it is no number below {MOST}, where this stops"))
    })?;
    tracing::info!("raising {LIMIT} to {more}");
    fs::write(LIMIT, more.to_string())
}

/// Twice as much as `limit` says, up to [`MOST`]; `None` when that is no more.
fn doubled(limit: &str) -> Option<usize> {
    let limit: usize = limit.trim().parse().ok()?;
    Some(limit.saturating_mul(2).min(MOST)).filter(|more| *more > limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_doubled_up_to_an_end() {
        assert_eq!(doubled("1024\n"), Some(2048));
        assert_eq!(doubled("100000"), Some(MOST));
        assert_eq!(doubled("131072"), None);
        assert_eq!(doubled("-1"), None);
    }
}
