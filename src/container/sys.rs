//! The one unsafe call of the engine.
#![expect(unsafe_code, reason = "a number from the command line becomes a file descriptor")]

use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};

use nix::fcntl::{FcntlArg, FdFlag, fcntl};

/// Takes over a file descriptor that this process was started with, and keeps
/// it from the programs that it starts in turn.
///
/// # Errors
/// When no such descriptor is open, or it is one of the standard streams.
pub fn inherited(number: RawFd) -> io::Result<OwnedFd> {
    if number <= 2 {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    // SAFETY: called once, at the start of the monitor, before this process has
    // opened anything of its own: an open number above 2 came from its parent,
    // and nothing else in here owns it. A closed one is found out by fcntl below.
    let fd = unsafe { OwnedFd::from_raw_fd(number) };
    match fcntl(&fd, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)) {
        Ok(_) => Ok(fd),
        Err(e) => {
            // Not open, so there is nothing to close either.
            std::mem::forget(fd);
            Err(e.into())
        }
    }
}
