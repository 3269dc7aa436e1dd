//! Pages shared by grants (`xengnttab.h`): given by a server, mapped by a client.
#![expect(unsafe_code)]

use std::ffi::c_void;
use std::io;
use std::os::fd::RawFd;
use std::ptr::NonNull;
use std::sync::Arc;

use libc::{PROT_READ, PROT_WRITE};
use xen_sys::{
    xengntdev_handle, xengntshr_close, xengntshr_fd, xengntshr_open, xengntshr_share_page_notify,
    xengntshr_share_pages, xengntshr_unshare, xengnttab_close, xengnttab_fd,
    xengnttab_map_domain_grant_refs, xengnttab_map_grant_ref_notify, xengnttab_open,
    xengnttab_unmap,
};

use super::memory::{Memory, Owner};
use super::quiet;
use crate::{Error, Result};

/// Gives pages of this domain to another one (`/dev/xen/gntalloc`).
#[derive(Debug)]
pub struct GrantServer(NonNull<xengntdev_handle>);

/// Maps pages of another domain (`/dev/xen/gntdev`).
#[derive(Debug)]
pub struct GrantClient(NonNull<xengntdev_handle>);

// SAFETY: a handle is a descriptor and a logger, and every function used here is
// a few system calls on it; nothing belongs to a thread.
unsafe impl Send for GrantServer {}
// SAFETY: as above.
unsafe impl Sync for GrantServer {}
// SAFETY: as above.
unsafe impl Send for GrantClient {}
// SAFETY: as above.
unsafe impl Sync for GrantClient {}

impl GrantServer {
    pub fn open() -> Result<GrantServer> {
        let failed = |error| Error::Device { device: "/dev/xen/gntalloc", error };
        let logger = quiet().map_err(failed)?;
        // SAFETY: the logger lives as long as the process.
        let raw = unsafe { xengntshr_open(logger.as_ptr(), 0) };
        let server = NonNull::new(raw).map(GrantServer);
        let server = server.ok_or_else(|| failed(io::Error::last_os_error()))?;
        // SAFETY: the handle is open.
        close_on_exec(unsafe { xengntshr_fd(raw) }).map_err(failed)?;
        Ok(server)
    }

    /// One page: it and its reference. When it is unmapped, also by the death of
    /// this process, the kernel clears the byte at `live` and notifies `port`.
    pub fn share_page(
        self: &Arc<Self>,
        domid: u32,
        live: usize,
        port: u32,
    ) -> Result<(Memory, u32)> {
        let mut reference = 0;
        // SAFETY: the handle is open, and `reference` takes the one reference.
        let raw = unsafe {
            xengntshr_share_page_notify(
                self.0.as_ptr(),
                domid,
                &mut reference,
                1,
                live as u32,
                port,
            )
        };
        Ok((self.memory(raw, 1, domid)?, reference))
    }

    /// `pages` consecutive pages and their references.
    pub fn share(self: &Arc<Self>, domid: u32, pages: usize) -> Result<(Memory, Vec<u32>)> {
        let mut references = vec![0; pages];
        let (count, refs) = (pages as i32, references.as_mut_ptr());
        // SAFETY: the handle is open, and there is room for `pages` references.
        let raw = unsafe { xengntshr_share_pages(self.0.as_ptr(), domid, count, refs, 1) };
        Ok((self.memory(raw, pages, domid)?, references))
    }

    fn memory(self: &Arc<Self>, raw: *mut c_void, pages: usize, domid: u32) -> Result<Memory> {
        let base = NonNull::new(raw.cast()).ok_or_else(|| {
            let error = io::Error::last_os_error();
            Error::Share { domid, pages, error }
        })?;
        // SAFETY: the library has just mapped so many pages here.
        Ok(unsafe { Memory::new(base, pages, Owner::Shared(Arc::clone(self))) })
    }

    /// For [`Memory`]'s drop alone.
    pub(super) fn unshare(&self, base: NonNull<u8>, pages: usize) {
        // SAFETY: `Memory` owned this mapping and is going away.
        unsafe { xengntshr_unshare(self.0.as_ptr(), base.as_ptr().cast(), pages as u32) };
    }
}

impl Drop for GrantServer {
    fn drop(&mut self) {
        // SAFETY: open, and closed once; every `Memory` of it is gone.
        unsafe { xengntshr_close(self.0.as_ptr()) };
    }
}

impl GrantClient {
    pub fn open() -> Result<GrantClient> {
        let failed = |error| Error::Device { device: "/dev/xen/gntdev", error };
        let logger = quiet().map_err(failed)?;
        // SAFETY: the logger lives as long as the process.
        let raw = unsafe { xengnttab_open(logger.as_ptr(), 0) };
        let client = NonNull::new(raw).map(GrantClient);
        let client = client.ok_or_else(|| failed(io::Error::last_os_error()))?;
        // SAFETY: the handle is open.
        close_on_exec(unsafe { xengnttab_fd(raw) }).map_err(failed)?;
        Ok(client)
    }

    /// One page. When it is unmapped, also by the death of this process, the
    /// kernel clears the byte at `live` and notifies `port`.
    pub fn map_page(
        self: &Arc<Self>,
        domid: u32,
        reference: u32,
        live: usize,
        port: u32,
    ) -> Result<Memory> {
        // SAFETY: the handle is open; the rest are numbers.
        let raw = unsafe {
            xengnttab_map_grant_ref_notify(
                self.0.as_ptr(),
                domid,
                reference,
                PROT_READ | PROT_WRITE,
                live as u32,
                port,
            )
        };
        self.memory(raw, 1, domid)
    }

    /// The pages of `references`, one after the other.
    pub fn map(self: &Arc<Self>, domid: u32, refs: &[u32], writable: bool) -> Result<Memory> {
        let mut refs = refs.to_vec();
        let prot = if writable { PROT_READ | PROT_WRITE } else { PROT_READ };
        let (count, first) = (refs.len() as u32, refs.as_mut_ptr());
        // SAFETY: the handle is open, and `refs` has `count` references.
        let raw =
            unsafe { xengnttab_map_domain_grant_refs(self.0.as_ptr(), count, domid, first, prot) };
        self.memory(raw, refs.len(), domid)
    }

    fn memory(self: &Arc<Self>, raw: *mut c_void, pages: usize, domid: u32) -> Result<Memory> {
        let base = NonNull::new(raw.cast()).ok_or_else(|| {
            let error = io::Error::last_os_error();
            Error::Map { domid, pages, error }
        })?;
        // SAFETY: the library has just mapped so many pages here.
        Ok(unsafe { Memory::new(base, pages, Owner::Mapped(Arc::clone(self))) })
    }

    /// For [`Memory`]'s drop alone.
    pub(super) fn unmap(&self, base: NonNull<u8>, pages: usize) {
        // SAFETY: `Memory` owned this mapping and is going away.
        unsafe { xengnttab_unmap(self.0.as_ptr(), base.as_ptr().cast(), pages as u32) };
    }
}

impl Drop for GrantClient {
    fn drop(&mut self) {
        // SAFETY: open, and closed once; every `Memory` of it is gone.
        unsafe { xengnttab_close(self.0.as_ptr()) };
    }
}

/// Before 4.18 the library leaves the descriptor open for programs we start.
fn close_on_exec(fd: RawFd) -> io::Result<()> {
    // SAFETY: a plain flag of an open descriptor.
    match unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
