//! `--cidfile`: a file that tells scripts which container it is.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::{Context, anyhow};

use super::failure::Hint;
use crate::container::ContainerId;

/// A file with a container's id; it goes again unless the container comes to be.
#[derive(Debug)]
pub struct CidFile(Option<PathBuf>);

impl CidFile {
    /// Writes `id` to a new file, if one is wanted.
    ///
    /// # Errors
    /// When the file is there already, or cannot be written.
    pub fn write(path: Option<PathBuf>, id: &ContainerId) -> anyhow::Result<CidFile> {
        let Some(path) = path else { return Ok(CidFile(None)) };
        let shown = path.display().to_string();
        let mut file = match File::create_new(&path) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
                return Err(anyhow!("the container id file {shown} is there already"))
                    .context(Hint(format!("if its container is gone: rm {shown}")));
            }
            file => file.with_context(|| format!("cannot make the container id file {shown}"))?,
        };
        let made = CidFile(Some(path));
        write!(file, "{id}").with_context(|| format!("cannot write {shown}"))?;
        Ok(made)
    }

    /// The container is there: the file stays.
    pub fn keep(mut self) {
        self.0 = None;
    }
}

impl Drop for CidFile {
    fn drop(&mut self) {
        if let Some(path) = &self.0 {
            if let Err(e) = fs::remove_file(path) {
                tracing::warn!("cannot remove {}: {e}", path.display());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_kept_with_its_container_and_never_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("id");
        let id = ContainerId::random().unwrap();
        drop(CidFile::write(Some(path.clone()), &id).unwrap());
        assert!(!path.exists(), "the container did not come to be");
        CidFile::write(Some(path.clone()), &id).unwrap().keep();
        assert_eq!(fs::read_to_string(&path).unwrap(), id.to_string());
        let error = CidFile::write(Some(path.clone()), &id).unwrap_err();
        assert!(format!("{error:#}").contains("is there already"), "{error:#}");
        assert_eq!(fs::read_to_string(&path).unwrap(), id.to_string());
        CidFile::write(None, &id).unwrap();
    }
}
