//! The frames between vxn in Dom0 and vxn-init in the DomU; no I/O.
//!
//! A frame is `[length: u32 LE][stream: u32 LE][body]`. Stream 0 is control:
//! its body is one postcard message, [`ToGuest`] or [`ToHost`] by direction.
//! Every other stream is one of the three streams of a process and carries raw
//! bytes; an empty body ends it. Data may be sent only within the stream's
//! window ([`SendWindow`]), which the receiver refills with `Window` messages,
//! so a slow reader of one stream holds up no other and no control message.
//!
//! Both ends treat the other's bytes as hostile: lengths are checked before a
//! byte is kept, and nothing here panics on input. `docs/protocol.md` has the
//! whole picture.

mod container;
mod files;
mod frame;
mod limits;
mod message;
mod network;
mod query;
mod seccomp;
mod share;
mod stream;
mod window;

pub use container::{Container, Tmpfs};
pub use files::FileRequest;
pub use frame::{Decoder, Error, Frame, encode_data, encode_eof, encode_message};
pub use limits::{Limits, Privileges, Ulimit};
pub use message::{
    Configure, Entropy, ExitStatus, FileSystem, Message, ProcessSpec, Root, StartFailure, ToGuest,
    ToHost, VersionMismatch, WindowSize, Writable, negotiate,
};
pub use network::{HOSTS, Interface, Network, Route};
pub use query::{Answer, MAX_ANSWER, MAX_COMMAND, ProcessInfo, Query, Usage};
pub use seccomp::{Instruction, MAX_PROGRAM, Seccomp};
pub use share::{SHARE_MSIZE, SHARED_FILE, Share, share_channel};
pub use stream::{ProcessId, StreamId, StreamKind, UnknownStream};
pub use window::{ReceiveWindow, SendWindow, Violation};

/// The newest protocol version that this crate speaks.
pub const VERSION: u32 = 6;

/// The oldest protocol version that this crate still speaks.
pub const MIN_VERSION: u32 = 6;

/// Bytes of a frame's header: body length and stream, both `u32` little endian.
pub const HEADER: usize = 8;

/// Most body bytes of a data frame.
pub const MAX_DATA: usize = 64 * 1024;

/// Bytes that may be under way on one stream before the receiver gives credit.
pub const WINDOW: u32 = 256 * 1024;

/// Path of the channel below the DomU's xenstore home, `/local/domain/N/`.
///
/// vchan builds node names in a 64-byte buffer, so this stays short.
pub const CHANNEL: &str = "vxn/channel";
