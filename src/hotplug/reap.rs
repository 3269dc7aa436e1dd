//! Loop devices that outlived their backend: a hotplug program was killed, or a
//! domain was destroyed by something that ran none.

use std::path::{Path, PathBuf};

use super::loopdev::{self, Marker};
use super::{Result, Store, claims, lock};

/// A loop device that was detached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reaped {
    /// `/dev/loopN`.
    pub device: PathBuf,
    /// The backend that it was for.
    pub marker: Marker,
}

/// Detaches the loop devices whose marker names a backend that is not in
/// xenstore any more. `lock_file` is the lock that every `vxn-hotplug` holds.
pub fn reap_loops(store: &impl Store, lock_file: &Path) -> Result<Vec<Reaped>> {
    let _lock = lock(lock_file)?;
    let mut reaped = Vec::new();
    for bound in loopdev::all()? {
        let Some(marker) = bound.marker else { continue };
        if !claims::is_alive(marker, store)? {
            loopdev::detach(&bound.path, marker)?;
            reaped.push(Reaped { device: bound.path, marker });
        }
    }
    Ok(reaped)
}
