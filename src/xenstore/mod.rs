//! A safe wrapper of libxenstore: the tree in which Xen's toolstacks, backends and
//! guests meet. Values are bytes; [`paths`] has every path that vxn touches.
//!
//! What a guest can write is hostile. A guest owns `/local/domain/N/data` and its
//! frontends; nothing below them is trusted.

mod error;
mod ffi;
pub mod paths;
mod transaction;
mod watch;

use std::os::unix::net::UnixStream;
use std::path::Path;

pub use error::{Error, Result};
use ffi::Handle;
pub use transaction::Transaction;
pub use watch::Watch;

/// The longest value that the protocol carries, in bytes (`XENSTORE_PAYLOAD_MAX`).
pub const MAX_VALUE: usize = 4096;

/// What a domain may do with a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Nothing (`XS_PERM_NONE`).
    None,
    /// Read it (`XS_PERM_READ`).
    Read,
    /// Write it (`XS_PERM_WRITE`).
    Write,
    /// Both.
    ReadWrite,
}

/// Who may do what with a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Permission {
    /// Id of a domain.
    pub domid: u32,
    /// What it may do.
    pub access: Access,
}

/// A connection to xenstored.
#[derive(Debug)]
pub struct Xenstore {
    handle: Handle,
}

impl Xenstore {
    /// Connects to the daemon's socket (`xs_open`).
    ///
    /// Without a daemon, libxenstore would fall back to the kernel's device, on
    /// which every request of a Dom0 waits for ever. So the socket is tried first.
    pub fn open() -> Result<Xenstore> {
        let socket = ffi::socket_path();
        UnixStream::connect(&socket).map_err(|e| Error::no_daemon(&socket, e))?;
        let handle = Handle::open().map_err(|e| Error::no_daemon(&socket, e))?;
        Ok(Xenstore { handle })
    }

    /// The value of a node, or `None` when there is no such node (`xs_read`).
    pub fn read(&self, path: &str) -> Result<Option<Vec<u8>>> {
        self.handle.read(ffi::NO_TRANSACTION, path)
    }

    /// Writes a node, making its parents as needed (`xs_write`). At most
    /// [`MAX_VALUE`] bytes together with the path.
    pub fn write(&self, path: &str, value: impl AsRef<[u8]>) -> Result<()> {
        self.handle.write(ffi::NO_TRANSACTION, path, value.as_ref())
    }

    /// The names of a node's children, or `None` when there is no such node
    /// (`xs_directory`).
    pub fn directory(&self, path: &str) -> Result<Option<Vec<String>>> {
        self.handle.directory(ffi::NO_TRANSACTION, path)
    }

    /// Removes a node and all below it; nothing there is fine (`xs_rm`).
    pub fn remove(&self, path: &str) -> Result<()> {
        self.handle.remove(ffi::NO_TRANSACTION, path)
    }

    /// Sets who may do what (`xs_set_permissions`). The first entry names the
    /// owner, and its access is that of every domain that is not named.
    pub fn set_permissions(&self, path: &str, permissions: &[Permission]) -> Result<()> {
        self.handle.set_permissions(ffi::NO_TRANSACTION, path, permissions)
    }

    /// Runs `body` in a transaction and commits it (`xs_transaction_start`,
    /// `xs_transaction_end`). An error of `body` undoes all. When somebody else
    /// has changed what was read, `body` runs again, a bounded number of times.
    pub fn transaction<T, E: From<Error>>(
        &self,
        body: impl FnMut(&Transaction<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        transaction::run(&self.handle, body)
    }

    /// Watches a node and all below it, on a connection of its own (`xs_watch`).
    pub fn watch(&self, path: &str) -> Result<Watch> {
        Watch::new(Handle::open().map_err(|e| Error::no_daemon(&ffi::socket_path(), e))?, path)
    }
}

impl Error {
    fn no_daemon(socket: &Path, error: std::io::Error) -> Error {
        let socket = socket.to_owned();
        match error.kind() {
            std::io::ErrorKind::PermissionDenied => Error::PermissionDenied { socket },
            _ => Error::NotRunning { socket, error },
        }
    }
}
