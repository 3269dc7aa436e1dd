//! The host end of vxn-proto: what Dom0 says to a DomU's vxn-init and hears
//! from it. [`Session`] is the protocol without I/O, [`Channel`] moves its
//! bytes over vchan.

mod channel;
mod offer;
mod session;

pub use channel::{Channel, Rest};
pub use offer::{channel_hint, offer};
pub use session::{Error, Event, Guest, Session};
