//! What the safe crates do not offer: the only unsafe code of vxn-init.
#![expect(unsafe_code)]

use std::{
    fs::File,
    io::{self, IoSliceMut},
    os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd},
};

use nix::{
    errno::Errno,
    sched::CloneFlags,
    sys::{
        signal::{SaFlags, SigAction, SigHandler, SigSet, SigmaskHow, Signal, sigaction},
        socket::{ControlMessageOwned, MsgFlags, UnixAddr, recvmsg},
    },
    unistd::Pid,
};
use vxn_proto::WindowSize;

/// Random bytes per [`add_entropy`] call.
const ENTROPY: usize = 64;

/// `struct rand_pool_info` of linux/random.h.
#[repr(C)]
struct RandPoolInfo {
    entropy_count: libc::c_int,
    buf_size: libc::c_int,
    buf: [u8; ENTROPY],
}

mod ioctl {
    // The kernel encodes the size of the two leading ints, see linux/random.h.
    nix::ioctl_write_ptr!(add_entropy, b'R', 0x03, [libc::c_int; 2]);
    nix::ioctl_write_ptr_bad!(set_window_size, libc::TIOCSWINSZ, libc::winsize);
    nix::ioctl_write_ptr_bad!(set_interface_flags, libc::SIOCSIFFLAGS, libc::ifreq);
}

/// Mixes `bytes` into the kernel's random pool and credits them in full
/// (random(4), `RNDADDENTROPY`).
pub fn add_entropy(pool: &File, bytes: &[u8]) -> nix::Result<()> {
    for chunk in bytes.chunks(ENTROPY) {
        let mut info = RandPoolInfo {
            entropy_count: chunk.len() as libc::c_int * 8,
            buf_size: chunk.len() as libc::c_int,
            buf: [0; ENTROPY],
        };
        info.buf[..chunk.len()].copy_from_slice(chunk);
        // SAFETY: the request reads `buf_size` bytes behind the two integers, and
        // `info` is that long and outlives the call.
        unsafe { ioctl::add_entropy(pool.as_raw_fd(), (&raw const info).cast()) }?;
    }
    Ok(())
}

/// Sets the size of a terminal (ioctl_tty(2), `TIOCSWINSZ`).
pub fn set_window_size(terminal: BorrowedFd<'_>, size: WindowSize) -> nix::Result<()> {
    let size =
        libc::winsize { ws_row: size.rows, ws_col: size.columns, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: the request reads one `winsize`, which outlives the call.
    unsafe { ioctl::set_window_size(terminal.as_raw_fd(), &raw const size) }.map(drop)
}

/// Brings the loopback interface up (netdevice(7), `SIOCSIFFLAGS`).
pub fn set_loopback_up(socket: BorrowedFd<'_>) -> nix::Result<()> {
    // SAFETY: `ifreq` is plain integers and bytes, for which zero is a value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    request.ifr_name[0] = b'l' as libc::c_char;
    request.ifr_name[1] = b'o' as libc::c_char;
    request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
    // SAFETY: the request reads one `ifreq`, which outlives the call.
    unsafe { ioctl::set_interface_flags(socket.as_raw_fd(), &raw const request) }.map(drop)
}

/// Starts a process that runs `body` and exits with its result. `flags` are of
/// clone(2): none, or a new namespace.
pub fn fork(flags: CloneFlags, body: impl FnOnce() -> i32) -> nix::Result<Pid> {
    let none = 0 as libc::c_long;
    let flags = libc::c_long::from(flags.bits() | libc::SIGCHLD);
    // SAFETY: without CLONE_VM and without a stack this is fork(2), and vxn-init has
    // one thread, so the child may run any code.
    let pid = unsafe { libc::syscall(libc::SYS_clone, flags, none, none, none, none) };
    match Errno::result(pid)? {
        // SAFETY: _exit(2) takes a plain integer and does not return.
        0 => unsafe { libc::_exit(body()) },
        pid => Ok(Pid::from_raw(pid as libc::pid_t)),
    }
}

/// Becomes a process that reaps its orphans and does nothing else: no open
/// files, no curious eyes in `/proc/1`, and with SIGCHLD ignored the kernel
/// reaps for it (signal(7)).
pub fn idle() -> ! {
    // SAFETY: this process uses no file descriptor from here on.
    unsafe { libc::close_range(0, libc::c_uint::MAX, 0) };
    // SAFETY: prctl(2) takes plain integers here.
    unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0) };
    let _ = set_handler(Signal::SIGCHLD, SigHandler::SigIgn);
    loop {
        // SAFETY: pause(2) takes no arguments.
        unsafe { libc::pause() };
    }
}

/// Closes every file of this process but these. For a fresh clone of vxn-init, which
/// will not use the others, nor drop what owns them.
pub fn close_all_but(kept: &[RawFd]) {
    let mut kept: Vec<libc::c_uint> = kept.iter().filter_map(|fd| (*fd).try_into().ok()).collect();
    kept.sort_unstable();
    let mut first = 0;
    for fd in kept.into_iter().chain([libc::c_uint::MAX]) {
        if let Some(last) = fd.checked_sub(1).filter(|last| *last >= first) {
            // SAFETY: the caller's word that nobody uses these descriptors any more.
            unsafe { libc::close_range(first, last, 0) };
        }
        first = fd.saturating_add(1);
    }
}

/// Gives a process about to execute a program the signal state that programs
/// expect: nothing blocked, nothing ignored.
pub fn reset_signals() -> nix::Result<()> {
    nix::sys::signal::sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None)?;
    set_handler(Signal::SIGPIPE, SigHandler::SigDfl)?;
    set_handler(Signal::SIGCHLD, SigHandler::SigDfl)
}

/// Sets a disposition that is not a function.
fn set_handler(signal: Signal, handler: SigHandler) -> nix::Result<()> {
    let action = SigAction::new(handler, SaFlags::empty(), SigSet::empty());
    // SAFETY: no handler of ours is installed, so none can run at a bad time.
    unsafe { sigaction(signal, &action) }.map(drop)
}

/// Loads a seccomp filter for this process and its children (seccomp(2)).
pub fn set_filter(flags: u32, program: &[libc::sock_filter]) -> nix::Result<()> {
    let len = program.len().try_into().map_err(|_| Errno::EINVAL)?;
    // The kernel only reads it, whatever its type says.
    let program = libc::sock_fprog { len, filter: program.as_ptr().cast_mut() };
    let mode = libc::SECCOMP_SET_MODE_FILTER;
    // SAFETY: the call reads one `sock_fprog` and the `len` instructions that it points to,
    // which outlive the call.
    let loaded = unsafe { libc::syscall(libc::SYS_seccomp, mode, flags, &raw const program) };
    Errno::result(loaded).map(drop)
}

/// Sends a signal by number, so that real-time signals work too (kill(2)).
pub fn kill(pid: Pid, signal: u8) -> nix::Result<()> {
    // SAFETY: kill(2) takes plain integers.
    Errno::result(unsafe { libc::kill(pid.as_raw(), signal.into()) }).map(drop)
}

/// Receives one file descriptor over a Unix socket (unix(7), `SCM_RIGHTS`).
pub fn receive_fd(socket: BorrowedFd<'_>) -> nix::Result<Option<OwnedFd>> {
    let mut name = [0; 256];
    let mut parts = [IoSliceMut::new(&mut name)];
    let mut control = nix::cmsg_space!([RawFd; 1]);
    let flags = MsgFlags::MSG_CMSG_CLOEXEC;
    let message = recvmsg::<UnixAddr>(socket.as_raw_fd(), &mut parts, Some(&mut control), flags)?;
    let received = message.cmsgs()?.find_map(|control| match control {
        ControlMessageOwned::ScmRights(fds) => fds.first().copied(),
        _ => None,
    });
    // SAFETY: the kernel has just made this descriptor for us; nobody else knows it.
    Ok(received.map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }))
}

/// Writes to a file descriptor by number: the end of a pipe that a process
/// inherited over a clone which Rust's owned descriptors do not survive.
pub fn write_inherited(fd: RawFd, bytes: &[u8]) -> io::Result<()> {
    // SAFETY: the caller's descriptor stays open in this process until it exits.
    let fd = unsafe { BorrowedFd::borrow_raw(fd) };
    nix::unistd::write(fd, bytes).map(drop).map_err(Into::into)
}
