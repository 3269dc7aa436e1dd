//! Disks of this host that a container has: virtual block devices of its DomU.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// A block device or an image file of this host as a disk of the DomU.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// What it is here.
    pub source: PathBuf,
    /// The guest's name of it, `xvdc`.
    pub vdev: String,
    /// The guest may not write to it.
    pub read_only: bool,
}

impl Device {
    /// Where the container finds it.
    pub fn path(&self) -> String {
        format!("/dev/{}", self.vdev)
    }
}
