//! Volumes: directories that outlive the containers that use them.
//!
//! ```text
//! ROOT/volumes/NAME/volume.json   what is known of it
//!                  /_data         what is in it
//! ```
//!
//! Nobody but root gets past `ROOT/volumes`: what a guest writes may be set-uid.
//! A volume appears and disappears whole, under the store's lock.

mod error;
mod name;
mod store;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use error::Error;
pub use name::Name;
pub use store::Volumes;

/// The label by which docker knows volumes that nobody has given a name.
pub const ANONYMOUS: &str = "com.docker.volume.anonymous";

/// What is known of a volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Volume {
    /// Its name.
    pub name: Name,
    /// When it was made.
    pub created: Timestamp,
    /// Labels.
    pub labels: BTreeMap<String, String>,
}

impl Volume {
    /// A new one.
    pub fn new(name: Name, labels: BTreeMap<String, String>) -> Volume {
        Volume { name, created: Timestamp::now(), labels }
    }

    /// The same, marked as one that nobody has given a name.
    #[must_use]
    pub fn unnamed(mut self) -> Volume {
        self.labels.insert(ANONYMOUS.to_owned(), String::new());
        self
    }

    /// Whether nobody has given it a name.
    pub fn is_anonymous(&self) -> bool {
        self.labels.contains_key(ANONYMOUS)
    }
}
