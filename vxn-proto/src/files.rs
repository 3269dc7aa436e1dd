//! Work on a container's files, which its guest does.

use serde::{Deserialize, Serialize};

/// What is to be done. It has the streams and the end of a process: what it needs
/// comes by its stdin, what comes of it goes by its stdout, why it failed by its
/// stderr, and its exit code is 0 when it is done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FileRequest {
    /// A tar of what is at a path, under its own name, or under `.` when the path ends
    /// with `/.`.
    Pack {
        /// The path, of the container.
        path: Vec<u8>,
        /// A link is followed.
        follow: bool,
    },
    /// Unpacks a tar of one tree, as `Pack` makes them, to a path, by docker's rules for
    /// where it goes.
    Unpack {
        /// The path, of the container.
        path: Vec<u8>,
        /// Any tar, into the directory at the path.
        any: bool,
        /// Owners are those of the tar; else all is root's.
        keep_owners: bool,
    },
    /// A tar of the root file system, with nothing in what is mounted.
    Export,
    /// What differs from the image: `A`, `C` or `D` and the absolute path of each,
    /// ended by NUL, in the order of the paths.
    Changes,
    /// The same as a layer of an OCI image.
    Layer {
        /// The processes of the container stand still meanwhile.
        freeze: bool,
    },
}

impl FileRequest {
    /// Whether it takes something in.
    pub const fn takes_input(&self) -> bool {
        matches!(self, Self::Unpack { .. })
    }
}
