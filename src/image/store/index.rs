//! Which names mean which images: `images/index.json`, an OCI index in which
//! vxn's own facts are annotations. It is all that has to be remembered; which
//! blobs and disks are needed follows from it.

use std::collections::{HashMap, HashSet};

use oci_spec::image::{Descriptor, ImageIndex, MediaType};

use super::super::Digest;
use super::super::layout;

/// What a local archive looked like when it was read.
const STAMP: &str = "vxn.archive.stamp";
/// The digest under which the registry has it: of a list, or of docker's manifest.
const REMOTE: &str = "vxn.registry.digest";
const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// One name of an image, or an image that has lost its last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The canonical reference.
    pub name: Option<String>,
    /// The manifest.
    pub digest: Digest,
    /// The manifest's length.
    pub size: u64,
    /// What a local archive looked like when it was read.
    pub stamp: Option<String>,
    /// The digest under which the registry has it, where that is another one.
    pub remote: Option<Digest>,
}

/// All of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Index {
    entries: Vec<Entry>,
}

impl Index {
    /// Reads what [`Index::document`] made. Entries that vxn cannot have written
    /// are passed over.
    pub fn read(document: &ImageIndex) -> Index {
        Index { entries: document.manifests().iter().filter_map(Entry::read).collect() }
    }

    /// The document to be written.
    pub fn document(&self) -> super::Result<ImageIndex> {
        let mut index = ImageIndex::default();
        let manifests = self.entries.iter().map(Entry::descriptor);
        index.set_manifests(manifests.collect::<super::Result<_>>()?);
        Ok(index)
    }

    /// All names and nameless images.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The image that `name` means.
    pub fn get(&self, name: &str) -> Option<&Entry> {
        self.entries.iter().find(|e| e.name.as_deref() == Some(name))
    }

    /// Every image once.
    pub fn digests(&self) -> Vec<Digest> {
        let mut seen = HashSet::new();
        self.entries.iter().map(|e| e.digest).filter(|d| seen.insert(*d)).collect()
    }

    /// Makes a name mean an image. The image that it meant stays, nameless if
    /// this was its last name.
    pub fn add(&mut self, entry: Entry) {
        if let Some(name) = &entry.name {
            self.untag(name);
        }
        self.entries.retain(|e| e.digest != entry.digest || e.name.is_some());
        self.entries.push(entry);
    }

    /// Takes a name away; its image stays. Returns what the name meant.
    pub fn untag(&mut self, name: &str) -> Option<Digest> {
        let at = self.entries.iter().position(|e| e.name.as_deref() == Some(name))?;
        let mut entry = self.entries.remove(at);
        let digest = entry.digest;
        if self.entries.iter().all(|e| e.digest != digest) {
            entry.name = None;
            self.entries.push(entry);
        }
        Some(digest)
    }

    /// Forgets an image and all of its names.
    pub fn remove(&mut self, digest: &Digest) {
        self.entries.retain(|e| e.digest != *digest);
    }
}

impl Entry {
    fn read(descriptor: &Descriptor) -> Option<Entry> {
        let annotation = |key| descriptor.annotations().as_ref()?.get(key).cloned();
        Some(Entry {
            name: layout::tag(descriptor).map(str::to_owned),
            digest: descriptor.digest().as_ref().parse().ok()?,
            size: descriptor.size(),
            stamp: annotation(STAMP),
            remote: annotation(REMOTE).and_then(|text| text.parse().ok()),
        })
    }

    fn descriptor(&self) -> super::Result<Descriptor> {
        let mut descriptor = self.digest.descriptor(MediaType::ImageManifest, self.size)?;
        let remote = self.remote.map(|digest| digest.to_string());
        let facts = [(REF_NAME, &self.name), (STAMP, &self.stamp), (REMOTE, &remote)];
        let annotations: HashMap<_, _> = facts
            .into_iter()
            .filter_map(|(key, value)| Some((key.to_owned(), value.clone()?)))
            .collect();
        if !annotations.is_empty() {
            descriptor.set_annotations(Some(annotations));
        }
        Ok(descriptor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: Option<&str>, content: &str) -> Entry {
        let digest = Digest::of(content.as_bytes());
        Entry { name: name.map(str::to_owned), digest, size: 1, stamp: None, remote: None }
    }

    fn index(entries: &[Entry]) -> Index {
        let mut index = Index::default();
        entries.iter().for_each(|e| index.add(e.clone()));
        index
    }

    #[test]
    fn a_moved_name_leaves_a_nameless_image() {
        let moved = index(&[entry(Some("a"), "1"), entry(Some("a"), "2")]);
        assert_eq!(moved.entries, [entry(None, "1"), entry(Some("a"), "2")]);
        let named = index(&[entry(Some("a"), "1"), entry(Some("b"), "1"), entry(Some("a"), "2")]);
        assert_eq!(named.entries, [entry(Some("b"), "1"), entry(Some("a"), "2")]);
        let same = index(&[entry(Some("a"), "1"), entry(Some("a"), "1")]);
        assert_eq!(same.entries, [entry(Some("a"), "1")]);
    }

    #[test]
    fn a_nameless_image_takes_a_name_again() {
        let mut index = index(&[entry(Some("a"), "1")]);
        assert_eq!(index.untag("a"), Some(Digest::of(b"1")));
        assert_eq!(index.untag("a"), None);
        assert_eq!(index.entries, [entry(None, "1")]);
        index.add(entry(Some("b"), "1"));
        assert_eq!(index.entries, [entry(Some("b"), "1")]);
    }

    #[test]
    fn what_is_written_is_read() {
        let mut full = entry(Some("docker.io/library/a:latest"), "1");
        full.stamp = Some("ino=1".to_owned());
        full.remote = Some(Digest::of(b"list"));
        let index = index(&[full, entry(None, "2")]);
        assert_eq!(Index::read(&index.document().unwrap()), index);
    }
}
