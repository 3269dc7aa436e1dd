//! Trees of files as tar streams: packed out of one root directory, unpacked into
//! another, at both ends of the channel.
//!
//! Dom0 unpacks what a guest has sent, and the guest works in a root that the
//! container's processes change meanwhile. So every path is resolved below a
//! directory that is held open ([`Root`]), and whatever an archive says, nothing is
//! read or written outside of it.

mod attributes;
mod error;
pub mod overlay;
mod pack;
mod place;
mod read;
mod root;
mod unpack;

pub use error::{Error, Result};
pub use pack::{Packer, pack};
pub use place::{Found, Place, Refusal, place};
pub use root::{Root, normalize};
pub use unpack::{Options, unpack_all, unpack_layer, unpack_tree};
