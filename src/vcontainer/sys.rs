//! The one unsafe call of the room.
#![expect(unsafe_code, reason = "nix has no pidfd_open")]

use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};

use nix::libc;

/// A descriptor that becomes readable when the process ends (pidfd_open(2)).
pub fn pidfd(pid: i32) -> io::Result<OwnedFd> {
    // SAFETY: two integers in, a new descriptor or -1 out.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, libc::pid_t::from(pid), 0) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just made it, and gave it to nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as RawFd) })
}
