//! A network namespace of the monitor's own while its container waits to be started. Its
//! caller prepares it meanwhile, by the monitor's process id: docker does.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::PathBuf;

use nix::sched::{CloneFlags, setns, unshare};

/// That of the calling thread.
const OWN: &str = "/proc/thread-self/ns/net";

/// The stay in a new namespace; the host's is kept for the return. The process id stands
/// for the namespace of the main thread, which has to be the one that enters and leaves.
#[derive(Debug)]
pub struct Apart {
    host: File,
}

/// A namespace that was prepared, for as long as this is there.
#[derive(Debug)]
pub struct Prepared {
    file: File,
}

impl Apart {
    /// Enters a new namespace.
    ///
    /// # Errors
    /// The kernel's.
    pub fn enter() -> io::Result<Apart> {
        let host = File::open(OWN)?;
        unshare(CloneFlags::CLONE_NEWNET)?;
        Ok(Apart { host })
    }

    /// Returns to the host's: everything but the guest's place is there.
    ///
    /// # Errors
    /// The kernel's.
    pub fn leave(self) -> io::Result<Prepared> {
        let file = File::open(OWN)?;
        setns(&self.host, CloneFlags::CLONE_NEWNET)?;
        Ok(Prepared { file })
    }
}

impl Prepared {
    /// Where it is found. It is gone with this process, and nobody is to look for it then:
    /// the number may be another's.
    pub fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}", self.file.as_raw_fd()))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn what_was_entered_is_left_and_found() {
        // A test has a thread, and so a namespace, to itself.
        let own = || std::fs::metadata(OWN).unwrap().ino();
        let host = own();
        let apart = match Apart::enter() {
            Err(e) => {
                eprintln!("SKIPPED: a network namespace cannot be made here: {e}");
                return;
            }
            Ok(apart) => apart,
        };
        let other = own();
        assert_ne!(other, host);
        let prepared = apart.leave().unwrap();
        assert_eq!(own(), host);
        assert_eq!(std::fs::metadata(prepared.path()).unwrap().ino(), other);
    }
}
