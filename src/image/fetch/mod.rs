//! skopeo: what moves images between registries, archives, other engines and
//! the store.

mod offer;
mod transfer;
mod words;

pub use offer::{Offer, offer};
pub use transfer::{copy, push};
pub use words::message;

use std::process::Command;

use super::PullOptions;
use super::reference::{Reference, Source};

/// The reference in skopeo's words.
fn place(reference: &Reference) -> String {
    match reference.source {
        Source::Registry { .. } => format!("docker://{reference}"),
        _ => reference.to_string(),
    }
}

/// Whose image of a list is meant.
fn choose_platform(command: &mut Command, options: &PullOptions) {
    let platform = &options.platform;
    command.args(["--override-os", "linux", "--override-arch", &platform.architecture]);
    if let Some(variant) = &platform.variant {
        command.args(["--override-variant", variant]);
    }
}
