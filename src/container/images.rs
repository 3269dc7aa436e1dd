//! Which images containers are made of: the one place that the image verbs ask.

use std::fs;
use std::io;
use std::path::Path;

use super::journal::Record;
use crate::image::store::InUse;

/// The images of all containers whose state lies below `run`, by manifest, each
/// with the names of its containers.
pub fn in_use(run: &Path) -> io::Result<InUse> {
    let mut found = InUse::new();
    let containers = match fs::read_dir(run.join("containers")) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(found),
        other => other?,
    };
    for container in containers {
        // One that is just being made or removed has none.
        let Ok(json) = fs::read(container?.path().join("journal.json")) else { continue };
        let Ok(record) = serde_json::from_slice::<Record>(&json) else { continue };
        let name = record.name.map_or_else(|| record.id.short().to_owned(), |n| n.to_string());
        if let Some(image) = record.image {
            found.entry(image).or_default().push(name);
        }
    }
    Ok(found)
}
