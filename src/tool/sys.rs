//! What must happen between fork and exec.
#![expect(unsafe_code)]

use std::os::unix::process::CommandExt;
use std::process::{Command, id};

use nix::errno::Errno;
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use nix::unistd::getppid;

/// Has the kernel kill the child when the thread that starts it ends, however
/// it ends (prctl(2), `PR_SET_PDEATHSIG`).
pub(super) fn die_with_parent(command: &mut Command) {
    let parent = id();
    let arm = move || {
        set_pdeathsig(Signal::SIGKILL)?;
        // The parent may have died before the signal was armed.
        if getppid().as_raw().unsigned_abs() == parent { Ok(()) } else { Err(Errno::ESRCH.into()) }
    };
    // SAFETY: after fork the closure makes two system calls and neither
    // allocates nor locks: async-signal-safe, as pre_exec asks.
    unsafe { command.pre_exec(arm) };
}
