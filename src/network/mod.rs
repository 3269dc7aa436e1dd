//! Networks of guests: bridges in Dom0, addresses, published ports.
//!
//! A network is a bridge with an IPv4 and an IPv6 range. [`Networks::attach`]
//! gives an owner an address on it and leads ports of this host there, by rules
//! in an nftables table of our own; [`Networks::release`] takes all of it back.
//! The bridge, if it was not there before, and the table are there for as long as
//! somebody has a lease.
//!
//! Every change is made under one lock. What an owner is about to get is written
//! down before it is set up and struck out after it is gone, so the file never
//! says less than there is: whoever finds that an owner is dead releases it, and
//! nothing is left. Nothing here knows Xen.
//!
//! A guest may also take its place in a [`namespace`] that others have prepared, and
//! whose network is theirs.

mod address;
mod bridge;
mod definition;
mod error;
mod lease;
mod leases;
mod ledger;
mod listener;
pub mod namespace;
mod nft;
mod port;
mod publish;
pub mod rules;
mod store;

use sha2::{Digest, Sha256};

pub use definition::{DEFAULT, Defaults, Network, NewNetwork};
pub use error::{Error, Result};
pub use lease::Request;
pub use leases::{Active, Lease, Owner, State};
pub use ledger::Leases;
pub use namespace::Namespace;
pub use port::{Forward, Protocol, Publish};
pub use store::Networks;

/// A number that the words determine, the same on every host and for ever.
fn seed(words: &[&str]) -> u64 {
    let digest = Sha256::digest(words.join("\0"));
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&digest[..8]);
    u64::from_be_bytes(bytes)
}
