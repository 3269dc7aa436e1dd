//! Event channels (`xenevtchn.h`).
#![expect(unsafe_code)]

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::ptr::NonNull;

use xen_sys::{
    xenevtchn_bind_interdomain, xenevtchn_bind_unbound_port, xenevtchn_close, xenevtchn_fd,
    xenevtchn_handle, xenevtchn_notify, xenevtchn_open, xenevtchn_pending, xenevtchn_unmask,
};

use super::quiet;
use crate::{Error, Result};

const DEVICE: &str = "/dev/xen/evtchn";

/// One bound port on a handle of its own; unbound on drop.
#[derive(Debug)]
pub struct EventChannel {
    handle: Handle,
    port: u32,
}

impl EventChannel {
    /// A port for domain `domid` to connect to.
    pub fn listen(domid: u32) -> Result<EventChannel> {
        let handle = Handle::open()?;
        // SAFETY: the handle is open.
        let port = unsafe { xenevtchn_bind_unbound_port(handle.0.as_ptr(), domid) };
        EventChannel::bound(handle, port, domid)
    }

    /// Connects to `port` of domain `domid`.
    pub fn connect(domid: u32, port: u32) -> Result<EventChannel> {
        let handle = Handle::open()?;
        // SAFETY: the handle is open.
        let port = unsafe { xenevtchn_bind_interdomain(handle.0.as_ptr(), domid, port) };
        EventChannel::bound(handle, port, domid)
    }

    fn bound(handle: Handle, port: i32, domid: u32) -> Result<EventChannel> {
        let failed = |error| Error::Bind { domid, error };
        let port = u32::try_from(port).map_err(|_| failed(io::Error::last_os_error()))?;
        let channel = EventChannel { handle, port };
        channel.unmask(port).map_err(failed)?;
        Ok(channel)
    }

    /// Our own number of the channel.
    pub fn port(&self) -> u32 {
        self.port
    }

    /// Sends an event. It cannot fail on a bound port: the kernel checks nothing
    /// else, and a peer that is gone is no error.
    pub fn notify(&self) {
        // SAFETY: the handle is open.
        unsafe { xenevtchn_notify(self.handle.0.as_ptr(), self.port) };
    }

    /// Takes the pending events and lets new ones in. The descriptor does not
    /// block, so neither does this.
    pub fn acknowledge(&self) -> io::Result<()> {
        loop {
            // SAFETY: the handle is open.
            let port = unsafe { xenevtchn_pending(self.handle.0.as_ptr()) };
            match u32::try_from(port) {
                Ok(port) => self.unmask(port)?,
                Err(_) => {
                    let e = io::Error::last_os_error();
                    match e.kind() {
                        io::ErrorKind::WouldBlock => return Ok(()),
                        io::ErrorKind::Interrupted => {}
                        _ => return Err(e),
                    }
                }
            }
        }
    }

    fn unmask(&self, port: u32) -> io::Result<()> {
        // SAFETY: the handle is open.
        match unsafe { xenevtchn_unmask(self.handle.0.as_ptr(), port) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

impl AsFd for EventChannel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.handle.as_fd()
    }
}

#[derive(Debug)]
struct Handle(NonNull<xenevtchn_handle>);

// SAFETY: the library keeps no thread-local state in a handle, which is a
// descriptor; the functions used here are single system calls on it.
unsafe impl Send for Handle {}
// SAFETY: as above.
unsafe impl Sync for Handle {}

impl Handle {
    fn open() -> Result<Handle> {
        let failed = |error| Error::Device { device: DEVICE, error };
        let logger = quiet().map_err(failed)?;
        // SAFETY: the logger lives as long as the process.
        let raw = unsafe { xenevtchn_open(logger.as_ptr(), 0) };
        let handle = NonNull::new(raw).map(Handle);
        let handle = handle.ok_or_else(|| failed(io::Error::last_os_error()))?;
        handle.set_nonblocking().map_err(failed)?;
        Ok(handle)
    }

    fn set_nonblocking(&self) -> io::Result<()> {
        let fd = self.as_fd().as_raw_fd();
        // SAFETY: plain flags of an open descriptor.
        let flags = unsafe { libc::fcntl(fd, libc::F_GETFL) };
        // SAFETY: as above; a failed F_GETFL is reported, not used.
        if flags < 0 || unsafe { libc::fcntl(fd, libc::F_SETFL, flags | libc::O_NONBLOCK) } < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(())
    }
}

impl AsFd for Handle {
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: the descriptor stays open until the handle is closed on drop.
        unsafe { BorrowedFd::borrow_raw(xenevtchn_fd(self.0.as_ptr())) }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // SAFETY: open, and closed once.
        unsafe { xenevtchn_close(self.0.as_ptr()) };
    }
}
