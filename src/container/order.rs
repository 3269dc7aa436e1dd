//! What a command tells the monitor that it starts.

use serde::{Deserialize, Serialize};
use vxn_proto::WindowSize;

use super::plan::Plan;

/// The first thing on the link to a new monitor.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Order {
    /// The container's next life.
    pub plan: Plan,
    /// The container is to be created first.
    pub create: bool,
    /// What becomes of the main process's streams.
    pub attach: Attach,
}

/// Who has the main process's streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Attach {
    /// Nobody: the command goes when the process runs.
    Detached,
    /// The monitor itself, which has inherited the command's own: a byte is
    /// copied once.
    Inherited,
    /// The monitor itself, which has inherited the container's own: it is what an
    /// OCI runtime's caller sees of the process. It waits for the word to start, and
    /// signals that it gets are the process's.
    Held,
    /// The command, over the link: they are a terminal's, which it looks after, or it may
    /// leave them behind.
    Carried {
        /// Whether stdin is carried.
        stdin: bool,
        /// Size of the terminal, if it is one.
        size: Option<WindowSize>,
    },
}
