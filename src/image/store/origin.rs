//! What a reference means at this moment, as far as that shows without a
//! registry.

use std::fs;
use std::os::unix::fs::MetadataExt;

use super::super::layout::Layout;
use super::super::reference::{Reference, Source};
use super::super::{Digest, Error, Platform, Result};

/// A reference as the index knows it, and what tells whether it has changed.
pub struct Origin {
    /// The canonical reference, with an absolute path.
    pub key: String,
    /// A local layout, and the manifest that it names now.
    pub layout: Option<(Layout, Digest)>,
    /// What a local archive looks like now.
    pub stamp: Option<String>,
}

impl Origin {
    /// Looks at what `reference` means for `platform`.
    pub fn of(reference: &Reference, platform: &Platform) -> Result<Origin> {
        let absolute = reference.absolute()?;
        let key = absolute.to_string();
        let (mut layout, mut stamp) = (None, None);
        match &absolute.source {
            Source::Registry { .. } | Source::Engine { .. } => {}
            Source::Layout { dir, tag } => {
                let from = Layout::at(dir);
                let digest = from.resolve(tag.as_deref(), &key, platform)?;
                layout = Some((from, digest));
            }
            Source::Archive { file, .. } => {
                let m = fs::metadata(file).map_err(Error::io(file))?;
                stamp = Some(format!(
                    "dev={} ino={} size={} mtime={}.{:09} ctime={}.{:09}",
                    m.dev(),
                    m.ino(),
                    m.size(),
                    m.mtime(),
                    m.mtime_nsec(),
                    m.ctime(),
                    m.ctime_nsec()
                ));
            }
        }
        Ok(Origin { key, layout, stamp })
    }
}
