//! Names of processes and of their streams.

use serde::{Deserialize, Serialize};

/// A process in a guest, numbered by the host; an id is free again once the
/// process has exited and its streams have ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ProcessId(pub u16);

/// Which of a process's streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StreamKind {
    /// Host to guest.
    Stdin,
    /// Guest to host; the terminal's output when the process has a terminal.
    Stdout,
    /// Guest to host; unused when the process has a terminal.
    Stderr,
}

/// One stream of one process; on the wire `3 * process + 1 + kind`, because 0
/// is the control stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct StreamId {
    /// The process whose stream this is.
    pub process: ProcessId,
    /// Which of its streams.
    pub kind: StreamKind,
}

/// A stream number that belongs to no process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("stream {0} belongs to no process")]
pub struct UnknownStream(pub u32);

impl StreamId {
    /// The stream that feeds `process`.
    pub const fn stdin(process: ProcessId) -> Self {
        Self { process, kind: StreamKind::Stdin }
    }

    /// The output of `process`.
    pub const fn stdout(process: ProcessId) -> Self {
        Self { process, kind: StreamKind::Stdout }
    }

    /// The error output of `process`.
    pub const fn stderr(process: ProcessId) -> Self {
        Self { process, kind: StreamKind::Stderr }
    }
}

impl From<StreamId> for u32 {
    fn from(stream: StreamId) -> u32 {
        let kind = match stream.kind {
            StreamKind::Stdin => 0,
            StreamKind::Stdout => 1,
            StreamKind::Stderr => 2,
        };
        3 * u32::from(stream.process.0) + 1 + kind
    }
}

impl TryFrom<u32> for StreamId {
    type Error = UnknownStream;

    fn try_from(number: u32) -> Result<Self, UnknownStream> {
        let index = number.checked_sub(1).ok_or(UnknownStream(number))?;
        let process = u16::try_from(index / 3).map_err(|_| UnknownStream(number))?;
        let kind = match index % 3 {
            0 => StreamKind::Stdin,
            1 => StreamKind::Stdout,
            _ => StreamKind::Stderr,
        };
        Ok(Self { process: ProcessId(process), kind })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_dense_and_skip_the_control_stream() {
        assert_eq!(u32::from(StreamId::stdin(ProcessId(0))), 1);
        assert_eq!(u32::from(StreamId::stderr(ProcessId(0))), 3);
        assert_eq!(u32::from(StreamId::stdin(ProcessId(1))), 4);
        assert_eq!(u32::from(StreamId::stderr(ProcessId(u16::MAX))), 3 * 65536);
    }

    #[test]
    fn only_numbers_of_processes_are_accepted() {
        assert_eq!(StreamId::try_from(0), Err(UnknownStream(0)));
        assert_eq!(StreamId::try_from(3 * 65536 + 1), Err(UnknownStream(3 * 65536 + 1)));
        for number in [1, 2, 3, 4, 77, 3 * 65536] {
            assert_eq!(StreamId::try_from(number).map(u32::from), Ok(number));
        }
    }
}
