//! The control messages.
//!
//! postcard encodes enums by position: variants are only ever added at the end,
//! and [`ToHost::Hello`] and the version in [`Configure`] never move, so that
//! two ends of different versions still understand why they cannot talk.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    Answer, Container, FileRequest, MAX_DATA, MIN_VERSION, Network, ProcessId, Query, Share,
    StreamId, StreamKind, VERSION,
};

/// A control message of one direction, and what else travels that way.
pub trait Message: Serialize + DeserializeOwned {
    /// Most bytes of an encoded message.
    const MAX_BODY: usize;

    /// Whether streams of this kind travel in the same direction.
    fn carries(kind: StreamKind) -> bool;
}

/// From vxn in Dom0 to vxn-init.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToGuest {
    /// Answers `Hello`; the guest sets itself up and answers `Configured`.
    Configure(Box<Configure>),
    /// Starts a process; answered by `Started` or `StartFailed`.
    Start {
        /// The host's name for the process.
        process: ProcessId,
        /// What to run.
        spec: ProcessSpec,
    },
    /// Sends a signal to a process; without effect once it has exited.
    Signal {
        /// The process.
        process: ProcessId,
        /// Signal number as Linux counts them, 1 to 64.
        signal: u8,
    },
    /// Sets the size of a process's terminal.
    Resize {
        /// The process.
        process: ProcessId,
        /// The new size.
        size: WindowSize,
    },
    /// More bytes may be sent on a stream from guest to host.
    Window {
        /// The stream.
        stream: StreamId,
        /// How many more bytes.
        bytes: u32,
    },
    /// Kill what runs, sync, power off.
    PowerOff,
    /// Nobody reads this output any more: the process's next write to it fails
    /// as on a pipe without a reader.
    HangUp {
        /// The stream, stdout or stderr.
        stream: StreamId,
    },
    /// What the guest's network is to be from now on; answered by `Networked`. Before
    /// `Start` it is there for the process; later interfaces come and go, and names of
    /// others. A vif that goes has been taken away before this is said.
    Network(Network),
    /// What of the host the container has. Once, before the first `Start`.
    Shares(Vec<Share>),
    /// Asks about the container; answered by `Answer`, in the order of the questions.
    Query(Query),
    /// Does something with the container's files; answered as `Start`, and from there on
    /// a process like any other, but that it is none of the container's.
    Files {
        /// The host's name for the process.
        process: ProcessId,
        /// What to do.
        request: FileRequest,
    },
}

impl Message for ToGuest {
    /// Room for the two MiB of arguments and environment that execve(2) takes
    /// with Linux's default stack limit, and the rest of the message.
    const MAX_BODY: usize = 4 * 1024 * 1024;

    fn carries(kind: StreamKind) -> bool {
        kind == StreamKind::Stdin
    }
}

/// From vxn-init to vxn in Dom0.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToHost {
    /// The first message on a channel.
    Hello {
        /// Oldest protocol version that the guest speaks.
        min: u32,
        /// Newest protocol version that the guest speaks.
        max: u32,
        /// Release of the guest's kernel, as `uname -r` prints it.
        kernel: String,
    },
    /// The guest is set up; processes may be started.
    Configured,
    /// The process runs the program that was asked for.
    Started {
        /// The process.
        process: ProcessId,
        /// Its process id in the container.
        pid: u32,
    },
    /// The process could not be started; its id is free again.
    StartFailed {
        /// The process.
        process: ProcessId,
        /// What kind of failure.
        reason: StartFailure,
        /// What failed, on what, why.
        message: String,
    },
    /// The process has ended; its output was sent before this.
    Exited {
        /// The process.
        process: ProcessId,
        /// How it ended.
        status: ExitStatus,
        /// The kernel has killed a process of the container for want of memory.
        oom_killed: bool,
    },
    /// More bytes may be sent on a stream from host to guest.
    Window {
        /// The stream.
        stream: StreamId,
        /// How many more bytes.
        bytes: u32,
    },
    /// The guest cannot go on; it crashes right after this.
    Failed {
        /// What failed, on what, why.
        message: String,
    },
    /// Answers the oldest `Query` that has no answer yet.
    Answer(Answer),
    /// Answers the oldest `Network` that has no answer yet. The first that fails is
    /// answered by `Failed`.
    Networked {
        /// Why not all of it is as it was to be.
        error: Option<String>,
    },
}

impl Message for ToHost {
    const MAX_BODY: usize = MAX_DATA;

    fn carries(kind: StreamKind) -> bool {
        kind != StreamKind::Stdin
    }
}

/// How the guest is set up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Configure {
    /// The version that both ends speak from here on, see [`negotiate`].
    pub version: u32,
    /// Random bytes for the kernel's pool: a fresh guest has none of its own.
    pub entropy: Entropy,
    /// The host's clock: time since 1970-01-01 UTC.
    pub time: Duration,
    /// The container's host name.
    pub hostname: String,
    /// The container's root file system.
    pub root: Root,
    /// Everything else about the container.
    pub container: Container,
}

/// Random bytes, which never show up in a log.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entropy(pub Vec<u8>);

impl fmt::Debug for Entropy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Entropy({} bytes)", self.0.len())
    }
}

/// The container's root file system: a read-only disk under a writable layer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Root {
    /// Name of the block device in the guest, `xvda`.
    pub device: String,
    /// What the disk holds.
    pub fs: FileSystem,
    /// Where writes go.
    pub writable: Writable,
}

/// A file system that the guest can mount.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FileSystem {
    /// SquashFS.
    SquashFs,
    /// EROFS.
    Erofs,
    /// ext4, mounted read-only.
    Ext4,
}

/// Where writes to the root file system go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Writable {
    /// Into the guest's memory, gone with the guest.
    Tmpfs {
        /// Most bytes; `None` is the kernel's default, half the memory.
        size_bytes: Option<u64>,
    },
    /// Onto a disk that holds an ext4 file system and belongs to the container:
    /// what is written there is found again at the next start.
    Disk {
        /// Name of the block device in the guest, `xvdb`.
        device: String,
    },
}

/// A process to start in the container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessSpec {
    /// Program and arguments, byte strings without NUL; not empty. A program
    /// without a slash is looked up in the `PATH` of `env`.
    pub args: Vec<Vec<u8>>,
    /// `KEY=VALUE` byte strings; `PATH` and `HOME` are added when unset.
    pub env: Vec<Vec<u8>>,
    /// Working directory, created when missing; empty is `/`.
    pub cwd: Vec<u8>,
    /// `""`, `user`, or `user:group`, each a name of the image's own passwd and
    /// group files or a number.
    pub user: String,
    /// Size of the terminal that the process gets; `None` for pipes.
    pub tty: Option<WindowSize>,
    /// Whether stdin is carried; without it the process reads `/dev/null`.
    pub stdin: bool,
    /// Its supplementary groups besides the user's own; `None` is those that the
    /// image's group file gives the user.
    pub groups: Option<Vec<u32>>,
    /// Its umask; `None` is 022.
    pub umask: Option<u32>,
}

/// Size of a terminal in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WindowSize {
    /// Lines.
    pub rows: u16,
    /// Columns.
    pub columns: u16,
}

/// Why a process did not start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StartFailure {
    /// There is no such program: exit code 127.
    NotFound,
    /// The program cannot be executed: exit code 126.
    NotExecutable,
    /// Anything else, say an unknown user.
    Other,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ExitStatus {
    /// It exited with this code.
    Code(u8),
    /// This signal killed it.
    Signal(u8),
}

impl ExitStatus {
    /// The exit code that a shell shows for it: 128 and the signal number for a
    /// process that was killed.
    pub const fn shell_code(self) -> u8 {
        match self {
            Self::Code(code) => code,
            Self::Signal(signal) => signal.saturating_add(128),
        }
    }
}

/// The two ends have no protocol version in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the guest's vxn-init speaks protocol versions {min} to {max}, this vxn {MIN_VERSION} to {VERSION}"
)]
pub struct VersionMismatch {
    /// Oldest version that the guest speaks.
    pub min: u32,
    /// Newest version that the guest speaks.
    pub max: u32,
}

/// Picks the newest version that both this end and a `Hello` speak.
///
/// # Errors
/// [`VersionMismatch`] when there is none.
pub const fn negotiate(min: u32, max: u32) -> Result<u32, VersionMismatch> {
    let newest = if max < VERSION { max } else { VERSION };
    let oldest = if min > MIN_VERSION { min } else { MIN_VERSION };
    if newest < oldest { Err(VersionMismatch { min, max }) } else { Ok(newest) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_common_version_is_taken() {
        assert_eq!(negotiate(6, 6), Ok(6));
        assert_eq!(negotiate(0, u32::MAX), Ok(VERSION));
        assert_eq!(negotiate(7, 8), Err(VersionMismatch { min: 7, max: 8 }));
        assert_eq!(negotiate(5, 5), Err(VersionMismatch { min: 5, max: 5 }));
        assert_eq!(negotiate(0, 0), Err(VersionMismatch { min: 0, max: 0 }));
        assert_eq!(negotiate(1, 0), Err(VersionMismatch { min: 1, max: 0 }));
    }

    #[test]
    fn a_killed_process_has_the_code_that_a_shell_shows() {
        assert_eq!(ExitStatus::Code(7).shell_code(), 7);
        assert_eq!(ExitStatus::Signal(15).shell_code(), 143);
        assert_eq!(ExitStatus::Signal(255).shell_code(), 255);
    }

    #[test]
    fn entropy_is_not_printed() {
        assert_eq!(format!("{:?}", Entropy(vec![1, 2, 3])), "Entropy(3 bytes)");
    }
}
