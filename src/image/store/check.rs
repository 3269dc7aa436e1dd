//! Whether the store is what its digests say, and mending it.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::super::disk::{self, Record};
use super::super::layout::Documents;
use super::super::reference::{At, Source};
use super::super::{Digest, DiskFormat, Error, PullOptions, Reference, Result, fetch};
use super::stage::Stage;
use super::{Progress, Store};

/// Something that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What, in a user's words.
    pub what: String,
    /// What became of it.
    pub remedy: Remedy,
}

/// What became of a finding.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Remedy {
    /// Nothing was to be done: only looked at.
    None,
    /// It was removed, and nothing needs it.
    Removed,
    /// It was fetched again.
    Fetched,
    /// It was made again.
    Rebuilt,
    /// It could not be mended, and why.
    Failed(String),
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        match &self.remedy {
            Remedy::None => Ok(()),
            Remedy::Removed => f.write_str(": removed"),
            Remedy::Fetched => f.write_str(": fetched again"),
            Remedy::Rebuilt => f.write_str(": made again"),
            Remedy::Failed(why) => write!(f, ": cannot be mended: {why}"),
        }
    }
}

impl Store {
    /// Reads all blobs and root disks and holds them to their digests. With
    /// `repair`, what is damaged is removed, and fetched or made again where an
    /// image needs it.
    pub fn check(
        &self,
        repair: Option<&PullOptions>,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Vec<Finding>> {
        let mut findings = self.check_blobs(repair.is_some())?;
        for digest in self.index()?.digests() {
            if let Some(why) = self.missing(&digest)? {
                let what = format!("image {}: {why}", self.title(&digest)?);
                let remedy = match repair {
                    None => Remedy::None,
                    Some(options) => self.refetch(&digest, options, progress)?,
                };
                findings.push(Finding { what, remedy });
            }
            if let Some(documents) = self.documents(&digest)? {
                findings.extend(self.check_disks(&documents, repair, progress)?);
            }
        }
        Ok(findings)
    }

    /// Blobs by themselves, needed or not.
    fn check_blobs(&self, repair: bool) -> Result<Vec<Finding>> {
        let mut findings = Vec::new();
        for digest in self.blobs.blobs()? {
            match self.blobs.verify(&digest) {
                Err(e @ Error::Damaged { .. }) => {
                    let mut remedy = Remedy::None;
                    if repair {
                        let _held = self.lock()?;
                        self.forget(&digest);
                        remedy = Remedy::Removed;
                    }
                    findings.push(Finding { what: e.to_string(), remedy });
                }
                // It was removed since it was listed.
                Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
                other => other?,
            }
        }
        Ok(findings)
    }

    /// What an image lacks.
    fn missing(&self, digest: &Digest) -> Result<Option<String>> {
        let Some(documents) = self.documents(digest)? else {
            return Ok(Some("its manifest or its configuration is missing".to_owned()));
        };
        let lost = documents.blobs().find(|blob| !self.blobs.blob(blob).exists());
        Ok(lost.map(|blob| format!("blob {blob} is missing")))
    }

    fn title(&self, digest: &Digest) -> Result<String> {
        let index = self.index()?;
        let entry = index.entries().iter().find(|e| e.digest == *digest);
        Ok(entry.and_then(|e| e.name.clone()).unwrap_or_else(|| digest.to_string()))
    }

    /// Fetches what is missing of an image from where it came from.
    fn refetch(
        &self,
        digest: &Digest,
        options: &PullOptions,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Remedy> {
        let mut why = "it has no name that leads to a registry or a layout".to_owned();
        for entry in self.index()?.entries().iter().filter(|e| e.digest == *digest) {
            let Some(name) = &entry.name else { continue };
            let mut reference = Reference::parse(name)?;
            if let Source::Registry { at, .. } = &mut reference.source {
                *at = At::Digest(entry.remote.unwrap_or(entry.digest));
            }
            let stage = Stage::new(self)?;
            stage.hold(self.blobs.blobs()?)?;
            let fetched = match &reference.source {
                Source::Layout { dir, .. } => {
                    super::adopt(&stage, &super::Layout::at(dir), *digest)
                }
                _ => fetch::copy(&reference, &stage, None, options, progress),
            };
            match fetched {
                Ok(fetched) if fetched == *digest => {
                    stage.publish()?;
                    return Ok(Remedy::Fetched);
                }
                Ok(_) => why = format!("{name} is another image now"),
                Err(e) => why = e.to_string(),
            }
        }
        Ok(Remedy::Failed(why))
    }

    /// An image's root disks of all kinds that there are; it needs one.
    fn check_disks(
        &self,
        documents: &Documents,
        repair: Option<&PullOptions>,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Vec<Finding>> {
        let title = self.title(&documents.digest)?;
        let mut findings = Vec::new();
        let path = |format| disk::path(&self.root, &documents.layers, format);
        let known = |path: &PathBuf| path.exists() || Record::path(path).exists();
        let formats: Vec<_> = DiskFormat::ALL.into_iter().filter(|f| known(&path(*f))).collect();
        for &format in &formats {
            let path = path(format);
            let Some(why) = wrong(&path)? else { continue };
            let mut finding =
                Finding { what: format!("root disk of {title}: {why}"), remedy: Remedy::None };
            if let Some(options) = repair {
                remove(&path)?;
                // Of the same kind: containers know it by its name.
                let options = PullOptions { formats: format.into(), ..options.clone() };
                finding.remedy = self.rebuild(documents, &options, progress);
            }
            findings.push(finding);
        }
        if formats.is_empty() {
            let what = format!("root disk of {title}: it is missing");
            let remedy = repair.map(|options| self.rebuild(documents, options, progress));
            findings.push(Finding { what, remedy: remedy.unwrap_or(Remedy::None) });
        }
        Ok(findings)
    }

    fn rebuild(
        &self,
        documents: &Documents,
        options: &PullOptions,
        progress: &mut dyn FnMut(Progress),
    ) -> Remedy {
        let mut build = || {
            let stage = Stage::new(self)?;
            stage.hold(documents.blobs().chain([documents.digest]))?;
            let format = stage.disk(documents, options, progress)?;
            stage.commit(documents, format, Vec::new())
        };
        match build() {
            Ok(_) => Remedy::Rebuilt,
            Err(e) => Remedy::Failed(e.to_string()),
        }
    }
}

/// Removes a disk and what is known of it.
fn remove(disk: &Path) -> Result<()> {
    for path in [disk, &Record::path(disk)] {
        if path.exists() {
            fs::remove_file(path).map_err(Error::io(path))?;
        }
    }
    Ok(())
}

/// What is wrong with a root disk.
fn wrong(path: &Path) -> Result<Option<String>> {
    let Some(record) = Record::of(path) else {
        return Ok(Some("it has no record".to_owned()));
    };
    match fs::File::open(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Some("it is missing".to_owned())),
        Err(e) => Err(Error::io(path)(e)),
        Ok(file) => {
            let found = Digest::of_reader(file).map_err(Error::io(path))?;
            Ok((found != record.digest).then(|| format!("it is damaged: its digest is {found}")))
        }
    }
}
