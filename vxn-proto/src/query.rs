//! What the host asks of a guest that runs, to look and not to change anything.
//!
//! The guest answers in the order of the questions, so they need no numbers.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Most bytes of a process's command line that are told.
pub const MAX_COMMAND: usize = 1024;

/// Most bytes of an [`Answer`], encoded: it fits into one message of the guest.
pub const MAX_ANSWER: usize = crate::MAX_DATA - 1024;

/// A question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Query {
    /// Which processes the container has.
    Processes,
    /// What it takes of the guest.
    Usage,
}

/// The answer to a [`Query`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// To [`Query::Processes`].
    Processes {
        /// In the order of their ids, as many as [`MAX_ANSWER`] has room for.
        processes: Vec<ProcessInfo>,
        /// How many there are besides.
        omitted: u32,
    },
    /// To [`Query::Usage`].
    Usage(Usage),
}

impl Answer {
    /// Whether this is an answer to `query`.
    pub const fn answers(&self, query: Query) -> bool {
        matches!(
            (self, query),
            (Self::Processes { .. }, Query::Processes) | (Self::Usage(_), Query::Usage)
        )
    }
}

/// What a container takes of its guest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Bytes of memory that are in use and cannot be had back.
    pub memory_used: u64,
    /// Bytes of memory that the guest's kernel has to give.
    pub memory_total: u64,
    /// Processes and threads of the container.
    pub tasks: u64,
}

/// A process of the container, as the guest's kernel tells of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessInfo {
    /// Its id in the container.
    pub pid: u32,
    /// The id of its parent; 0 for one outside of the container.
    pub parent: u32,
    /// Effective user id.
    pub uid: u32,
    /// The user's name in the image; empty when it has none.
    pub user: String,
    /// Device number of its terminal, as the kernel packs it; 0 is none.
    pub tty: u32,
    /// The letter of its state, as `ps` shows it.
    pub state: u8,
    /// Its threads.
    pub threads: u32,
    /// Bytes of address space.
    pub virtual_bytes: u64,
    /// Bytes of memory that are its own or shared with others.
    pub resident_bytes: u64,
    /// Since it was started.
    pub age: Duration,
    /// CPU time that it has used.
    pub cpu: Duration,
    /// The program's name, as the kernel keeps it: 15 bytes.
    pub name: Vec<u8>,
    /// Arguments, each ended by a NUL; the first [`MAX_COMMAND`] bytes of them.
    pub command: Vec<u8>,
}
