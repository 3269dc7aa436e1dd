//! libxenstore, made safe: the one file here with unsafe code.
#![expect(unsafe_code)]

use std::ffi::{CStr, CString, OsString, c_char};
use std::io;
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::ptr::NonNull;

use xen_sys::{
    XBT_NULL, XS_PERM_NONE, XS_PERM_READ, XS_PERM_WRITE, xs_check_watch, xs_close,
    xs_daemon_socket, xs_directory, xs_fileno, xs_handle, xs_open, xs_permissions, xs_read, xs_rm,
    xs_set_permissions, xs_transaction_end, xs_transaction_start, xs_watch, xs_write,
};

use super::{Access, Error, Permission, Result};

pub const NO_TRANSACTION: u32 = XBT_NULL;

/// The only watch of a handle needs no token to tell it from others.
const TOKEN: &CStr = c"vxn";

/// Where the daemon listens (`xs_daemon_socket`, which honours the environment).
pub fn socket_path() -> PathBuf {
    // SAFETY: returns a C string in static memory.
    let path = unsafe { CStr::from_ptr(xs_daemon_socket()) };
    PathBuf::from(OsString::from_vec(path.to_bytes().to_vec()))
}

/// A connection.
#[derive(Debug)]
pub struct Handle(NonNull<xs_handle>);

// SAFETY: libxenstore guards a handle with locks of its own and keeps nothing
// that belongs to a thread.
unsafe impl Send for Handle {}

impl Handle {
    pub fn open() -> io::Result<Handle> {
        // SAFETY: no preconditions.
        let raw = unsafe { xs_open(0) };
        NonNull::new(raw).map(Handle).ok_or_else(io::Error::last_os_error)
    }

    pub fn read(&self, transaction: u32, path: &str) -> Result<Option<Vec<u8>>> {
        let c_path = c_path("read", path)?;
        let mut len = 0;
        // SAFETY: the handle is open, the path a C string, `len` takes the length.
        let raw = unsafe { xs_read(self.0.as_ptr(), transaction, c_path.as_ptr(), &mut len) };
        let Some(value) = NonNull::new(raw) else { return none_if_missing("read", path) };
        // SAFETY: the library returns `len` bytes that malloc gave.
        Ok(Some(unsafe { take(value.cast(), len as usize) }))
    }

    pub fn write(&self, transaction: u32, path: &str, value: &[u8]) -> Result<()> {
        let c_path = c_path("write", path)?;
        let too_long = |_| failed("write", path, io::ErrorKind::InvalidInput.into());
        let len = value.len().try_into().map_err(too_long)?;
        let data = value.as_ptr().cast();
        // SAFETY: the handle is open, the path a C string, `data` has `len` bytes.
        let done = unsafe { xs_write(self.0.as_ptr(), transaction, c_path.as_ptr(), data, len) };
        check("write", path, done)
    }

    pub fn directory(&self, transaction: u32, path: &str) -> Result<Option<Vec<String>>> {
        let c_path = c_path("list", path)?;
        let mut count = 0;
        // SAFETY: the handle is open, the path a C string, `count` takes the count.
        let raw =
            unsafe { xs_directory(self.0.as_ptr(), transaction, c_path.as_ptr(), &mut count) };
        let Some(names) = NonNull::new(raw) else { return none_if_missing("list", path) };
        // SAFETY: one block from malloc, `count` pointers to C strings inside it.
        Ok(Some(unsafe { take_strings(names, count as usize) }))
    }

    pub fn remove(&self, transaction: u32, path: &str) -> Result<()> {
        let c_path = c_path("remove", path)?;
        // SAFETY: the handle is open and the path a C string.
        if unsafe { xs_rm(self.0.as_ptr(), transaction, c_path.as_ptr()) } {
            return Ok(());
        }
        none_if_missing::<()>("remove", path).map(|_| ())
    }

    pub fn set_permissions(&self, id: u32, path: &str, permissions: &[Permission]) -> Result<()> {
        let c_path = c_path("set the permissions of", path)?;
        let mut raw: Vec<xs_permissions> = permissions.iter().map(raw_permission).collect();
        let (first, count) = (raw.as_mut_ptr(), raw.len() as u32);
        // SAFETY: the handle is open, the path a C string, `first` begins `count`.
        let done =
            unsafe { xs_set_permissions(self.0.as_ptr(), id, c_path.as_ptr(), first, count) };
        check("set the permissions of", path, done)
    }

    /// Starts a transaction.
    pub fn begin(&self) -> io::Result<u32> {
        // SAFETY: the handle is open.
        match unsafe { xs_transaction_start(self.0.as_ptr()) } {
            XBT_NULL => Err(io::Error::last_os_error()),
            id => Ok(id),
        }
    }

    /// Ends a transaction; EAGAIN is a conflict.
    pub fn end(&self, id: u32, abort: bool) -> io::Result<()> {
        // SAFETY: the handle is open.
        match unsafe { xs_transaction_end(self.0.as_ptr(), id, abort) } {
            true => Ok(()),
            false => Err(io::Error::last_os_error()),
        }
    }

    /// Starts a watch, and with it a thread of the library that reads this
    /// connection. That is why a handle has at most one.
    pub fn watch(&self, path: &str) -> Result<()> {
        let c_path = c_path("watch", path)?;
        // Made before the watch, so that the first event finds the pipe.
        // SAFETY: the handle is open.
        let has_fd = unsafe { xs_fileno(self.0.as_ptr()) } >= 0;
        // SAFETY: the handle is open, path and token are C strings.
        let done = has_fd && unsafe { xs_watch(self.0.as_ptr(), c_path.as_ptr(), TOKEN.as_ptr()) };
        check("watch", path, done)
    }

    /// The path of the next event.
    pub fn check_watch(&self) -> io::Result<Option<String>> {
        // SAFETY: the handle is open.
        let raw = unsafe { xs_check_watch(self.0.as_ptr()) };
        let Some(event) = NonNull::new(raw) else {
            let e = io::Error::last_os_error();
            return if e.kind() == io::ErrorKind::WouldBlock { Ok(None) } else { Err(e) };
        };
        // SAFETY: one block from malloc with at least a path and a token.
        Ok(unsafe { take_strings(event, 1) }.pop())
    }

    /// Readable when there is an event. Only for a handle with a watch.
    pub fn watch_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: `watch` has made the pipe, which lives as long as the handle.
        unsafe { BorrowedFd::borrow_raw(xs_fileno(self.0.as_ptr())) }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // SAFETY: open, and closed once.
        unsafe { xs_close(self.0.as_ptr()) };
    }
}

fn raw_permission(permission: &Permission) -> xs_permissions {
    let perms = match permission.access {
        Access::None => XS_PERM_NONE,
        Access::Read => XS_PERM_READ,
        Access::Write => XS_PERM_WRITE,
        Access::ReadWrite => XS_PERM_READ | XS_PERM_WRITE,
    };
    xs_permissions { id: permission.domid, perms }
}

fn c_path(verb: &'static str, path: &str) -> Result<CString> {
    CString::new(path).map_err(|e| failed(verb, path, e.into()))
}

fn failed(verb: &'static str, path: &str, error: io::Error) -> Error {
    Error::Node { verb, path: path.to_owned(), error }
}

/// Turns a C function's answer into a result; it has set `errno`.
fn check(verb: &'static str, path: &str, done: bool) -> Result<()> {
    if done { Ok(()) } else { Err(failed(verb, path, io::Error::last_os_error())) }
}

/// After a failure: a node that does not exist is `None`.
fn none_if_missing<T>(verb: &'static str, path: &str) -> Result<Option<T>> {
    let e = io::Error::last_os_error();
    if e.kind() == io::ErrorKind::NotFound { Ok(None) } else { Err(failed(verb, path, e)) }
}

/// # Safety
/// `block` comes from malloc and has `len` bytes; the caller gives it up.
unsafe fn take(block: NonNull<u8>, len: usize) -> Vec<u8> {
    // SAFETY: promised by the caller.
    let bytes = unsafe { std::slice::from_raw_parts(block.as_ptr(), len) }.to_vec();
    // SAFETY: promised by the caller.
    unsafe { libc::free(block.as_ptr().cast()) };
    bytes
}

/// # Safety
/// `block` comes from malloc and begins with `count` pointers to C strings inside
/// it; the caller gives it up.
unsafe fn take_strings(block: NonNull<*mut c_char>, count: usize) -> Vec<String> {
    // SAFETY: promised by the caller.
    let pointers = unsafe { std::slice::from_raw_parts(block.as_ptr(), count) };
    let strings = pointers
        .iter()
        // SAFETY: promised by the caller.
        .map(|p| unsafe { CStr::from_ptr(*p) }.to_string_lossy().into_owned())
        .collect();
    // SAFETY: promised by the caller.
    unsafe { libc::free(block.as_ptr().cast()) };
    strings
}
