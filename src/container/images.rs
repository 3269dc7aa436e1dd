//! Which images containers are made of: the one place that the image verbs ask.

use std::path::Path;

use super::store::{Containers, Error};
use crate::image::store::InUse;

/// The images of all containers below `root`, alive or not, by manifest, each with
/// the names of its containers.
pub fn in_use(root: &Path) -> Result<InUse, Error> {
    let mut found = InUse::new();
    for definition in Containers::new(root).list()? {
        found.entry(definition.image.digest).or_default().push(definition.name.to_string());
    }
    Ok(found)
}
