//! From `docker run …` to what the seed's guests start from: a directory with an
//! OCI layout, for the input disk, and a command.

use std::path::Path;

use super::docker;
use crate::config::Memory;
use crate::image::{self, Progress, PullOptions, Reference, Store};

/// Why there is nothing to start from.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The words are not understood.
    #[error(transparent)]
    Words(#[from] docker::Error),
    /// The image cannot be had.
    #[error(transparent)]
    Image(#[from] image::Error),
    /// Somebody removes it as soon as it is here.
    #[error("{0} was removed while it was read")]
    Removed(String),
}

/// What to start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prepared {
    /// The command for a shell in the container; none when neither the user nor
    /// the image names one.
    pub command: Option<String>,
    /// The wanted memory.
    pub memory: Option<Memory>,
    /// The wanted virtual CPUs.
    pub cpus: Option<u32>,
    /// Options that these guests cannot follow.
    pub ignored: Vec<String>,
}

/// `registry` has the images whose names name none. Gets the image that `words` name and writes it to `dir`, its layers merged into
/// one: the guest unpacks layers with `tar`, which knows no whiteouts. `None`
/// if `words` are no `docker run …`.
pub fn prepare(
    words: &str,
    dir: &Path,
    (store, registry): (&Store, &str),
    pull: &PullOptions,
    progress: &mut dyn FnMut(Progress),
) -> Result<Option<Prepared>, Error> {
    let Some(run) = docker::parse(words)? else { return Ok(None) };
    let reference = Reference::parse_in(&run.image, registry)?;
    let mut image = store.get(&reference, pull, progress)?;
    if !store.flatten(&image, dir, &pull.limits, progress)? {
        image = store.pull(&reference, pull, progress)?;
        if !store.flatten(&image, dir, &pull.limits, progress)? {
            return Err(Error::Removed(image.reference));
        }
    }
    Ok(Some(Prepared {
        command: run.resolve(&image.config),
        memory: run.memory,
        cpus: run.cpus,
        ignored: run.ignored,
    }))
}
