//! Waiting for a disk.

use std::{
    os::fd::{AsFd, AsRawFd, OwnedFd},
    path::Path,
    time::{Duration, Instant},
};

use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::socket::{
        AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, socket,
    },
};

use crate::{
    Error, Result,
    error::Context,
    modules::{Loading, Modules},
};

/// The driver of disks.
const DRIVER: &str = "xen_blkfront";

/// How long the driver may take to find its disk.
const PATIENCE: Duration = Duration::from_secs(30);

/// Most bytes of a uevent (`UEVENT_BUFFER_SIZE` and its header, linux/kobject.h).
const MAX_UEVENT: usize = 4096;

/// The driver of disks on its way. A disk can be opened when the kernel announces
/// it, a little after its node appears; the driver is loaded when it has seen to
/// all disks, which it only looks at now and then.
#[derive(Debug)]
pub struct Disks {
    uevents: OwnedFd,
    driver: Loading,
}

impl Disks {
    /// Starts to load the driver, and to listen to the kernel before that.
    pub fn find(modules: &mut Modules) -> Result<Self> {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let protocol = SockProtocol::NetlinkKObjectUEvent;
        let uevents = socket(AddressFamily::Netlink, SockType::Datagram, flags, protocol)
            .context("create a socket for uevents")?;
        bind(uevents.as_raw_fd(), &NetlinkAddr::new(0, 1)).context("listen to uevents")?;
        Ok(Self { uevents, driver: modules.load_in_background(DRIVER)? })
    }

    /// Waits for the disk with the node `path`.
    pub fn wait(self, path: &Path) -> Result<()> {
        let shown = path.display();
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Error::Other(format!(
                    "no disk {shown} within {} s",
                    PATIENCE.as_secs()
                )));
            }
            let mut fds = [self.driver.as_fd(), self.uevents.as_fd()]
                .map(|fd| PollFd::new(fd, PollFlags::POLLIN));
            match poll(&mut fds, PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX)) {
                Ok(_) | Err(Errno::EINTR) => {}
                Err(error) => return Err(error).context(format_args!("wait for {shown}")),
            }
            if self.announced(path) {
                return Ok(());
            }
            if fds[0].any().unwrap_or(false) {
                break;
            }
        }
        self.driver.finish()?;
        if path.exists() { Ok(()) } else { Err(Error::Other(format!("there is no disk {shown}"))) }
    }

    /// Whether the kernel has announced a disk since the last look.
    fn announced(&self, path: &Path) -> bool {
        let mut event = [0; MAX_UEVENT];
        loop {
            match recv(self.uevents.as_raw_fd(), &mut event, MsgFlags::empty()) {
                Ok(length) if is_new(&event[..length], path) => return true,
                Ok(_) | Err(Errno::EINTR) => {}
                // Nothing more, or some were lost: the driver's word will do.
                Err(_) => return false,
            }
        }
    }
}

/// Whether a uevent announces the device with the node `path`. It is a list of
/// strings, each ended by NUL.
fn is_new(event: &[u8], path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().as_encoded_bytes();
    let has = |wanted: &[u8]| event.split(|byte| *byte == 0).any(|field| field == wanted);
    has(b"ACTION=add") && has(&[b"DEVNAME=", name].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_disk_itself_is_new() {
        let path = Path::new("/dev/xvda");
        let event = b"add@/devices/vbd-51712/block/xvda\0ACTION=add\0DEVNAME=xvda\0SEQNUM=7\0";
        assert!(is_new(event, path));
        assert!(!is_new(event, Path::new("/dev/xvdb")));
        assert!(!is_new(b"add@/x/xvda1\0ACTION=add\0DEVNAME=xvda1\0", path));
        assert!(!is_new(b"remove@/x/xvda\0ACTION=remove\0DEVNAME=xvda\0", path));
        assert!(!is_new(b"", path));
    }
}
