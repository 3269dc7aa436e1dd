//! What of this host a container has.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::volume;

/// A directory, a file or a volume in a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    /// What is there.
    pub source: Source,
    /// Where it is, an absolute path of the container.
    pub destination: String,
    /// Nothing may be written to it.
    pub read_only: bool,
    /// What else it is mounted with: `nosuid`, `noexec`.
    #[serde(default)]
    pub options: Vec<String>,
}

/// What is mounted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// A directory or a file of the host.
    Bind(PathBuf),
    /// A volume.
    Volume {
        /// Its name.
        name: volume::Name,
        /// It was made for this container, and goes with it.
        anonymous: bool,
        /// While it is empty, it gets what the image has there.
        fill: bool,
    },
}

impl Mount {
    /// The volume, if it is one.
    pub fn volume(&self) -> Option<&volume::Name> {
        match &self.source {
            Source::Bind(_) => None,
            Source::Volume { name, .. } => Some(name),
        }
    }
}
