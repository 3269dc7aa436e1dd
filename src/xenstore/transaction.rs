//! Transactions: all or nothing, and nobody in between.

use std::io;

use super::ffi::Handle;
use super::{Error, Permission, Result};

/// How often a transaction is tried. Conflicts come from concurrent creations of
/// domains, which end; a hundred in a row means that something else is wrong.
const ATTEMPTS: u32 = 100;

/// A view of xenstore that does not change under the one who looks. The methods
/// are those of [`super::Xenstore`].
#[derive(Debug)]
pub struct Transaction<'a> {
    handle: &'a Handle,
    id: u32,
}

impl Transaction<'_> {
    /// The value of a node, or `None` when there is no such node (`xs_read`).
    pub fn read(&self, path: &str) -> Result<Option<Vec<u8>>> {
        self.handle.read(self.id, path)
    }

    /// Writes a node, making its parents as needed (`xs_write`).
    pub fn write(&self, path: &str, value: impl AsRef<[u8]>) -> Result<()> {
        self.handle.write(self.id, path, value.as_ref())
    }

    /// The names of a node's children, or `None` when there is no such node
    /// (`xs_directory`).
    pub fn directory(&self, path: &str) -> Result<Option<Vec<String>>> {
        self.handle.directory(self.id, path)
    }

    /// Removes a node and all below it; nothing there is fine (`xs_rm`).
    pub fn remove(&self, path: &str) -> Result<()> {
        self.handle.remove(self.id, path)
    }

    /// Sets who may do what (`xs_set_permissions`).
    pub fn set_permissions(&self, path: &str, permissions: &[Permission]) -> Result<()> {
        self.handle.set_permissions(self.id, path, permissions)
    }
}

/// See [`super::Xenstore::transaction`].
pub(super) fn run<T, E: From<Error>>(
    handle: &Handle,
    mut body: impl FnMut(&Transaction<'_>) -> Result<T, E>,
) -> Result<T, E> {
    for _ in 0..ATTEMPTS {
        let id = handle.begin().map_err(Error::Transaction)?;
        let value = match body(&Transaction { handle, id }) {
            Ok(value) => value,
            Err(e) => {
                // Nothing more can be done about a transaction that does not end.
                drop(handle.end(id, true));
                return Err(e);
            }
        };
        match handle.end(id, false) {
            Ok(()) => return Ok(value),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {} // EAGAIN: a conflict
            Err(e) => return Err(Error::Transaction(e).into()),
        }
    }
    Err(Error::Conflict(ATTEMPTS).into())
}
