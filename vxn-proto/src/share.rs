//! Directories and files of the host in the guest.

use serde::{Deserialize, Serialize};

/// Most bytes of a 9P message about a share.
pub const SHARE_MSIZE: u32 = 128 * 1024;

/// The name of the file in a share of one file: 9P's root is a directory.
pub const SHARED_FILE: &str = "file";

/// A directory or a file of the host, served by 9P2000.L over a vchan of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    /// Where it is mounted, an absolute path of the container.
    pub path: String,
    /// Nothing may be written to it; the host sees to that too.
    pub read_only: bool,
    /// It is a directory; else the share holds [`SHARED_FILE`] alone.
    pub directory: bool,
    /// What else it is mounted with, as mount(8) knows it: `nosuid`, `noexec`.
    pub options: Vec<String>,
    /// It is a new volume, which gets what the image has at `path`.
    pub fill: bool,
}

/// Path of the channel of the share with this number, the first being 0, below
/// the DomU's xenstore home.
pub fn share_channel(number: usize) -> String {
    format!("vxn/share/{number}")
}
