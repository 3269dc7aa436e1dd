//! Waiting for disks.

use std::{
    collections::BTreeSet,
    os::fd::{AsFd, AsRawFd, OwnedFd},
    path::{Path, PathBuf},
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
    /// `None` once it is loaded.
    driver: Option<Loading>,
    /// Names of the disks that the kernel has announced.
    announced: BTreeSet<String>,
}

impl Disks {
    /// Starts to load the driver, and to listen to the kernel before that.
    pub fn find(modules: &mut Modules) -> Result<Self> {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let protocol = SockProtocol::NetlinkKObjectUEvent;
        let uevents = socket(AddressFamily::Netlink, SockType::Datagram, flags, protocol)
            .context("create a socket for uevents")?;
        bind(uevents.as_raw_fd(), &NetlinkAddr::new(0, 1)).context("listen to uevents")?;
        let driver = Some(modules.load_in_background(DRIVER)?);
        Ok(Self { uevents, driver, announced: BTreeSet::new() })
    }

    /// Waits for the disk that the guest calls `name`; returns its node.
    pub fn wait(&mut self, name: &str) -> Result<PathBuf> {
        let path = Path::new("/dev").join(name);
        let shown = path.display();
        let deadline = Instant::now() + PATIENCE;
        loop {
            self.listen();
            if self.announced.contains(name) {
                return Ok(path);
            }
            let Some(driver) = &self.driver else { break };
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Error::Other(format!(
                    "no disk {shown} within {} s",
                    PATIENCE.as_secs()
                )));
            }
            let mut fds =
                [driver.as_fd(), self.uevents.as_fd()].map(|fd| PollFd::new(fd, PollFlags::POLLIN));
            match poll(&mut fds, PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX)) {
                Ok(_) | Err(Errno::EINTR) => {}
                Err(error) => return Err(error).context(format_args!("wait for {shown}")),
            }
            if fds[0].any().unwrap_or(false) {
                self.driver.take().map_or(Ok(()), Loading::finish)?;
            }
        }
        if path.exists() {
            Ok(path)
        } else {
            Err(Error::Other(format!("there is no disk {shown}")))
        }
    }

    /// Notes the disks that the kernel has announced since the last look.
    fn listen(&mut self) {
        let mut event = [0; MAX_UEVENT];
        loop {
            match recv(self.uevents.as_raw_fd(), &mut event, MsgFlags::empty()) {
                Ok(length) => self.announced.extend(new_device(&event[..length])),
                Err(Errno::EINTR) => {}
                // Nothing more, or some were lost: the driver's word will do.
                Err(_) => return,
            }
        }
    }
}

/// The name of the device that a uevent announces. It is a list of strings, each
/// ended by NUL.
fn new_device(event: &[u8]) -> Option<String> {
    let mut fields = event.split(|byte| *byte == 0);
    fields.clone().any(|field| field == b"ACTION=add").then_some(())?;
    let name = fields.find_map(|field| field.strip_prefix(b"DEVNAME="))?;
    Some(String::from_utf8_lossy(name).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_added_is_new() {
        let event = b"add@/devices/vbd-51712/block/xvda\0ACTION=add\0DEVNAME=xvda\0SEQNUM=7\0";
        assert_eq!(new_device(event).as_deref(), Some("xvda"));
        assert_eq!(
            new_device(b"add@/x/xvda1\0ACTION=add\0DEVNAME=xvda1\0").as_deref(),
            Some("xvda1")
        );
        assert_eq!(new_device(b"remove@/x/xvda\0ACTION=remove\0DEVNAME=xvda\0"), None);
        assert_eq!(new_device(b"add@/module/x\0ACTION=add\0"), None);
        assert_eq!(new_device(b""), None);
    }
}
