//! The little that hotplug asks of xenstore.

use super::{Error, Result};
use crate::xenstore::{self, Xenstore};

/// What hotplug does with xenstore. Paths are relative to the store's own domain
/// (`backend/vbd/5/51712`) or absolute.
pub trait Store {
    /// The value of a node, or None if there is no such node.
    fn read(&self, path: &str) -> Result<Option<Vec<u8>>>;

    /// The names of a node's children; none if there is no such node.
    fn list(&self, path: &str) -> Result<Vec<String>>;

    /// Writes all of `nodes` (path, value) in one transaction if the node `guard`
    /// exists at that moment, and says whether it did.
    fn publish(&self, guard: &str, nodes: &[(String, Vec<u8>)]) -> Result<bool>;
}

impl Store for Xenstore {
    fn read(&self, path: &str) -> Result<Option<Vec<u8>>> {
        Ok(Xenstore::read(self, path)?)
    }

    fn list(&self, path: &str) -> Result<Vec<String>> {
        Ok(self.directory(path)?.unwrap_or_default())
    }

    fn publish(&self, guard: &str, nodes: &[(String, Vec<u8>)]) -> Result<bool> {
        let published = self.transaction(|transaction| {
            if transaction.read(guard)?.is_none() {
                return Ok(false);
            }
            for (path, value) in nodes {
                transaction.write(path, value)?;
            }
            Ok::<bool, xenstore::Error>(true)
        });
        published.map_err(Error::Store)
    }
}
