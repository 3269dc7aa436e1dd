//! What happens to containers, images, volumes and networks, written down as it
//! happens. There is no daemon that could tell it: each process that changes something
//! appends one line to a journal, and whoever wants to know reads it and waits for more.
//!
//! ```text
//! ROOT/events/events.log     one event a line, as JSON
//!             events.log.1   what was before, when that grew too large
//! ```
//!
//! Events are news, not state: one that cannot be written is lost, and a line is not
//! forced to the disk. The names are docker's.

mod read;
mod write;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use read::{Follow, Reader};
pub use write::tell;

/// Something that has happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// When.
    pub time: Timestamp,
    /// To what kind of thing.
    pub kind: Kind,
    /// What, in docker's word: `start`, `die`.
    pub action: String,
    /// To which thing: the id of a container or an image, the name of others.
    pub id: String,
    /// What else there is to know: `name`, `image`, `exitCode`, labels.
    pub attributes: BTreeMap<String, String>,
}

/// What events are about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A container.
    Container,
    /// An image.
    Image,
    /// A volume.
    Volume,
    /// A network.
    Network,
}

impl Kind {
    /// All of them.
    pub const ALL: [Kind; 4] = [Kind::Container, Kind::Image, Kind::Volume, Kind::Network];

    /// docker's word.
    pub fn word(self) -> &'static str {
        match self {
            Kind::Container => "container",
            Kind::Image => "image",
            Kind::Volume => "volume",
            Kind::Network => "network",
        }
    }
}

impl Event {
    /// An event of now.
    pub fn new(kind: Kind, action: &str, id: impl Into<String>) -> Event {
        let (time, attributes) = (Timestamp::now(), BTreeMap::new());
        Event { time, kind, action: action.to_owned(), id: id.into(), attributes }
    }

    /// With something else to know.
    pub fn with(mut self, key: &str, value: impl Into<String>) -> Event {
        self.attributes.insert(key.to_owned(), value.into());
        self
    }
}

/// As docker prints it: `TIME container start ID (image=alpine, name=web)`.
impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Event { time, kind, action, id, attributes } = self;
        write!(f, "{time:.9} {} {action} {id}", kind.word())?;
        let pairs: Vec<String> = attributes.iter().map(|(k, v)| format!("{k}={v}")).collect();
        if pairs.is_empty() { Ok(()) } else { write!(f, " ({})", pairs.join(", ")) }
    }
}

fn directory(root: &Path) -> PathBuf {
    root.join("events")
}

/// The current file.
fn file(root: &Path) -> PathBuf {
    directory(root).join("events.log")
}
