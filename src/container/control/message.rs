//! What clients and monitors say to each other. Both are of one build: nothing
//! here outlives an upgrade but a running monitor, which refuses what it does
//! not know.

use serde::{Deserialize, Serialize};
use vxn_proto::{
    Answer, FileRequest, MAX_DATA, Message, ProcessId, ProcessSpec, Query, StreamKind, ToGuest,
    WindowSize,
};

use crate::container::network::Membership;
use crate::container::report::Report;

/// The number under which a client has its streams.
pub const STREAMS: ProcessId = ProcessId(0);

/// From a client to the monitor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToMonitor {
    /// A signal for the client's process: the one that it executes, else the
    /// main one. Answered with `Done`.
    Signal {
        /// Number of the signal.
        signal: u8,
    },
    /// The client's terminal has another size.
    Resize(WindowSize),
    /// More output may be sent.
    Window {
        /// Which output.
        error: bool,
        /// How many bytes.
        bytes: u32,
    },
    /// Nobody reads this output any more.
    HangUp {
        /// Which output.
        error: bool,
    },
    /// End the container: its stop signal, then the kill. Answered by its end.
    Stop {
        /// Another signal than the container's own.
        signal: Option<u8>,
        /// How long to wait before the kill, if not as long as the container
        /// says; `None` inside waits for ever.
        seconds: Option<Option<u64>>,
    },
    /// End the container at once, like a power cut: it is about to be removed.
    /// Answered by its end.
    Destroy,
    /// Stop the DomU's CPUs. Answered with `Done`.
    Pause,
    /// Let them go on. Answered with `Done`.
    Unpause,
    /// Answered by the container's end.
    Wait,
    /// Watch the main process's output, and feed its stdin.
    Attach {
        /// Whether stdin is carried.
        stdin: bool,
        /// Size of the client's terminal, if the process has one.
        size: Option<WindowSize>,
    },
    /// Start another process. Answered with `Started`, later with its end.
    Exec {
        /// What to run.
        spec: ProcessSpec,
        /// Its output is not wanted, and its end need not be told.
        detached: bool,
    },
    /// Work on the container's files. It has the client's streams; answered with `Started`,
    /// at its end with `Done` or `Refused`.
    Files(FileRequest),
    /// The client goes, and means it: the container stays.
    Leave,
    /// Start the container that is held. Answered with `Started`, or with its end.
    Start,
    /// Put the container on another network as well. Answered with `Done`.
    Connect(Membership),
    /// Take it off a network. Answered with `Done`.
    Disconnect(Departure),
    /// Ask the guest. Answered with its `Answer`.
    Query(Query),
    /// Show the guest's kernel log as stdout: what is kept of it, then what comes.
    /// Answered by its end; a signal from the client ends it as well.
    Console {
        /// Go on with what comes.
        follow: bool,
    },
}

/// How a container is to leave a network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Departure {
    /// The network's name.
    pub network: String,
    /// Do not wait for the guest.
    pub force: bool,
}

impl Message for ToMonitor {
    const MAX_BODY: usize = ToGuest::MAX_BODY;

    fn carries(kind: StreamKind) -> bool {
        kind == StreamKind::Stdin
    }
}

/// From the monitor to a client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToClient {
    /// What was asked for is done.
    Done,
    /// It cannot be done.
    Refused {
        /// Why, in one line.
        message: String,
    },
    /// The process runs.
    Started,
    /// More stdin may be sent.
    Window {
        /// How many bytes.
        bytes: u32,
    },
    /// What the client has waited for is over.
    Ended(Report),
    /// The guest's words.
    Answer(Answer),
}

impl Message for ToClient {
    /// A report with the DomU's last words.
    const MAX_BODY: usize = 8 * MAX_DATA;

    fn carries(kind: StreamKind) -> bool {
        kind != StreamKind::Stdin
    }
}
