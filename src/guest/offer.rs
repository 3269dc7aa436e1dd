//! A channel offered to a DomU, whose rings are pages of Dom0's.

use std::fs;
use std::io;
use std::path::Path;

use xen_vchan::{Error, Result, Vchan};

/// How many pages Dom0's kernel gives its guests in all (linux, drivers/xen/gntalloc.c). Its
/// 1024 are for fifteen containers. It is there against ordinary users' greed, and who
/// starts DomUs is root: what a container takes is bounded.
const LIMIT: &str = "/sys/module/xen_gntalloc/parameters/limit";

/// Pages more when they are all given: 16 MiB.
const MORE: u32 = 4096;

/// Publishes a channel for domain `domid` at `path` of xenstore, with rings of `ring` bytes
/// in both directions. The kernel's limit is raised when it is reached.
///
/// # Errors
/// Those of [`Vchan::serve`].
pub fn offer(domid: u32, path: &str, ring: usize) -> Result<Vchan> {
    let serve = || Vchan::serve(domid, path, ring, ring);
    match serve() {
        Err(e) if is_limit(&e) && raise(Path::new(LIMIT)) => serve(),
        other => other,
    }
}

/// What to do when no channel could be offered.
pub fn channel_hint(error: &Error) -> String {
    match error {
        Error::Share { .. } => format!("Dom0's kernel gives its guests no more pages: see {LIMIT}"),
        _ => "`modprobe -a xen-gntalloc xen-evtchn`; `vxn check` says what else is missing".into(),
    }
}

fn is_limit(error: &Error) -> bool {
    // ENOSPC
    matches!(error, Error::Share { error, .. } if error.kind() == io::ErrorKind::StorageFull)
}

/// Adds [`MORE`] to the number in a file. Two at a time may add it once: each of them has
/// seen the limit reached, and there is room for both.
fn raise(limit: &Path) -> bool {
    let raised = || -> io::Result<u32> {
        let now: u32 = fs::read_to_string(limit)?.trim().parse().map_err(io::Error::other)?;
        fs::write(limit, now.saturating_add(MORE).to_string())?;
        Ok(now)
    };
    match raised() {
        Ok(was) => tracing::debug!("{}: {was} pages were not enough", limit.display()),
        Err(e) => {
            tracing::warn!("cannot raise {}: {e}", limit.display());
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_that_is_reached_is_raised() {
        let dir = tempfile::tempdir().unwrap();
        let limit = dir.path().join("limit");
        assert!(!raise(&limit));
        fs::write(&limit, "1024\n").unwrap();
        assert!(raise(&limit));
        assert_eq!(fs::read_to_string(&limit).unwrap(), "5120");
    }

    #[test]
    fn the_limit_is_told_from_other_failures() {
        let share =
            |code| Error::Share { domid: 1, pages: 32, error: io::Error::from_raw_os_error(code) };
        assert!(is_limit(&share(nix::libc::ENOSPC)));
        assert!(!is_limit(&share(nix::libc::ENOMEM)));
        assert!(channel_hint(&share(nix::libc::ENOMEM)).ends_with(LIMIT));
        assert!(channel_hint(&Error::NoXenstore(io::Error::other("none"))).contains("modprobe"));
    }
}
