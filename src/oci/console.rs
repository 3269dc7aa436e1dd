//! A container's terminal on the host: the caller gets the master over its socket, whoever
//! stands for the process keeps the slave, which is raw: the guest's own is the terminal.

use std::io::{self, IoSlice};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::pty::openpty;
use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
use nix::sys::termios::{SetArg, cfmakeraw, tcgetattr, tcsetattr};
use nix::unistd::ttyname;

/// Makes a terminal, sends its master to the socket at `path`, and returns the slave.
///
/// # Errors
/// Nobody listens there, or the kernel gives no terminal.
pub fn send(path: &Path) -> io::Result<OwnedFd> {
    let socket = UnixStream::connect(path)?;
    let pty = openpty(None, None)?;
    for fd in [&pty.master, &pty.slave] {
        fcntl(fd, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
    }
    let mut mode = tcgetattr(&pty.slave)?;
    cfmakeraw(&mut mode);
    tcsetattr(&pty.slave, SetArg::TCSANOW, &mode)?;
    let name = ttyname(pty.slave.as_fd())?;
    let name = name.as_os_str().as_encoded_bytes();
    let fds = [pty.master.as_raw_fd()];
    let rights = [ControlMessage::ScmRights(&fds)];
    sendmsg::<()>(socket.as_raw_fd(), &[IoSlice::new(name)], &rights, MsgFlags::empty(), None)?;
    Ok(pty.slave)
}

#[cfg(test)]
mod tests {
    use std::io::IoSliceMut;
    use std::os::unix::net::UnixListener;

    use nix::sys::socket::{ControlMessageOwned, recvmsg};

    use super::*;

    #[test]
    fn the_master_arrives_with_the_name_of_the_slave() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("console.sock");
        assert!(send(&path).is_err(), "nobody listens");
        let listener = UnixListener::bind(&path).unwrap();
        let slave = send(&path).unwrap();
        let (socket, _) = listener.accept().unwrap();
        let mut name = [0; 64];
        let mut space = nix::cmsg_space!(std::os::fd::RawFd);
        let mut parts = [IoSliceMut::new(&mut name)];
        let flags = MsgFlags::empty();
        let message =
            recvmsg::<()>(socket.as_raw_fd(), &mut parts, Some(&mut space), flags).unwrap();
        let rights = message.cmsgs().unwrap().next();
        assert!(matches!(rights, Some(ControlMessageOwned::ScmRights(fds)) if fds.len() == 1));
        let length = message.bytes;
        assert_eq!(&name[..length], ttyname(&slave).unwrap().as_os_str().as_encoded_bytes());
    }
}
