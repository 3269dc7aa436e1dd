//! The little of xenstore that finds a channel (`xenstore.h`).
#![expect(unsafe_code)]

use std::ffi::CString;
use std::io;
use std::ptr::NonNull;

use xen_sys::{
    XBT_NULL, XS_PERM_NONE, XS_PERM_READ, xs_close, xs_handle, xs_open, xs_permissions, xs_read,
    xs_rm, xs_set_permissions, xs_write,
};

use crate::{Error, Result};

/// A connection: to the daemon's socket in Dom0, to the kernel's device elsewhere.
#[derive(Debug)]
pub struct Store(NonNull<xs_handle>);

// SAFETY: a handle has locks of its own (libxenstore is built with threads).
unsafe impl Send for Store {}

impl Store {
    pub fn open() -> Result<Store> {
        // SAFETY: no preconditions.
        let raw = unsafe { xs_open(0) };
        NonNull::new(raw).map(Store).ok_or_else(|| Error::NoXenstore(io::Error::last_os_error()))
    }

    /// The id of this domain.
    pub fn own_domid(&self) -> Result<u32> {
        self.number("domid")?.ok_or_else(|| Error::Xenstore {
            verb: "read",
            path: "domid".into(),
            error: io::ErrorKind::NotFound.into(),
        })
    }

    /// The number in `dir/name`; a server puts it there.
    pub fn read_number(&self, dir: &str, name: &str) -> Result<u32> {
        self.number(&format!("{dir}/{name}"))?.ok_or_else(|| Error::NoServer(dir.to_owned()))
    }

    fn number(&self, path: &str) -> Result<Option<u32>> {
        let Some(value) = self.read(path)? else { return Ok(None) };
        let text = std::str::from_utf8(&value).ok();
        let number = text.and_then(|text| text.trim().parse().ok());
        number.map(Some).ok_or_else(|| Error::NotANumber(path.to_owned()))
    }

    fn read(&self, path: &str) -> Result<Option<Vec<u8>>> {
        let c_path = c_string("read", path)?;
        let mut len = 0;
        // SAFETY: the handle is open and the path a C string.
        let raw = unsafe { xs_read(self.0.as_ptr(), XBT_NULL, c_path.as_ptr(), &mut len) };
        if raw.is_null() {
            let error = io::Error::last_os_error();
            return match error.kind() {
                io::ErrorKind::NotFound => Ok(None),
                _ => Err(Error::Xenstore { verb: "read", path: path.into(), error }),
            };
        }
        // SAFETY: the library returns `len` bytes from malloc, for us to free.
        let value = unsafe { std::slice::from_raw_parts(raw.cast::<u8>(), len as usize) }.to_vec();
        // SAFETY: as above.
        unsafe { libc::free(raw) };
        Ok(Some(value))
    }

    /// Writes `dir/name`, owned by `owner` and readable by `reader`.
    pub fn write_number(
        &self,
        dir: &str,
        name: &str,
        number: u32,
        owner: u32,
        reader: u32,
    ) -> Result<()> {
        let path = format!("{dir}/{name}");
        let c_path = c_string("write", &path)?;
        let value = number.to_string();
        let mut permissions = [
            xs_permissions { id: owner, perms: XS_PERM_NONE },
            xs_permissions { id: reader, perms: XS_PERM_READ },
        ];
        // SAFETY: the handle is open, the path a C string, the value so long.
        let written = unsafe {
            let len = value.len() as u32;
            xs_write(self.0.as_ptr(), XBT_NULL, c_path.as_ptr(), value.as_ptr().cast(), len)
        };
        // SAFETY: as above, with two permissions.
        let done = written
            && unsafe {
                let count = permissions.len() as u32;
                let first = permissions.as_mut_ptr();
                xs_set_permissions(self.0.as_ptr(), XBT_NULL, c_path.as_ptr(), first, count)
            };
        if done {
            return Ok(());
        }
        Err(Error::Xenstore { verb: "write", path, error: io::Error::last_os_error() })
    }

    /// Removes `path` and what is below; nothing there is fine.
    pub fn remove(&self, path: &str) -> Result<()> {
        let c_path = c_string("remove", path)?;
        // SAFETY: the handle is open and the path a C string.
        if unsafe { xs_rm(self.0.as_ptr(), XBT_NULL, c_path.as_ptr()) } {
            return Ok(());
        }
        let error = io::Error::last_os_error();
        match error.kind() {
            io::ErrorKind::NotFound => Ok(()),
            _ => Err(Error::Xenstore { verb: "remove", path: path.into(), error }),
        }
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        // SAFETY: open, and closed once.
        unsafe { xs_close(self.0.as_ptr()) };
    }
}

fn c_string(verb: &'static str, path: &str) -> Result<CString> {
    CString::new(path).map_err(|e| Error::Xenstore { verb, path: path.into(), error: e.into() })
}
