//! Images that come and go without a pull: pushed, saved, loaded, imported.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use oci_spec::image::ImageIndex;
use serde_json::{Value, json};

use super::super::archive::{self, Contents, DockerEntry, Format, Member};
use super::super::layer::decompress;
use super::super::layout::{Documents, tag};
use super::super::reference::{ArchiveFormat, Source};
use super::super::{Digest, Error, PullOptions, PushOptions, Reference, Result, fetch};
use super::commit::{now, put_image, put_layer};
use super::stage::Stage;
use super::{Entry, Found, Progress, Store, finish};

/// The name of a stage's only image in its own index.
const STAGED: &str = "image";

impl Store {
    /// Copies an image to a registry, or to wherever else a reference leads.
    /// Returns the digest that it has there.
    pub fn push(
        &self,
        digest: &Digest,
        to: &Reference,
        options: &PushOptions,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Digest> {
        let stage = Stage::new(self)?;
        let documents = self.held(&stage, digest)?;
        let entry = Entry {
            name: Some(STAGED.to_owned()),
            digest: *digest,
            size: stage.size(digest)?,
            stamp: None,
            remote: None,
        };
        let mut index = super::Index::default();
        index.add(entry);
        stage.layout().put_index(&index.document()?)?;
        let layers = documents.layers.iter().map(|layer| stage.state(&layer.digest)).collect();
        progress(Progress::Layers { layers });
        let there = fetch::push(&stage, to, options, progress)?;
        self.note_remote(digest, to, there)?;
        self.tell("push", to, Some(&to.to_string()));
        Ok(there)
    }

    /// Remembers under which digest a registry has an image.
    fn note_remote(&self, digest: &Digest, name: &Reference, there: Digest) -> Result<()> {
        let mut locked = self.locked()?;
        let known = locked.index.get(&name.to_string()).cloned();
        if let Some(mut entry) = known.filter(|entry| entry.digest == *digest) {
            entry.remote = (there != *digest).then_some(there);
            locked.index.add(entry);
            locked.save()?;
        }
        Ok(())
    }

    /// Writes an archive of images. An image that was named goes under that name,
    /// one that was meant by its id without one.
    pub fn save(&self, images: &[Found], format: Format, out: &mut dyn Write) -> Result<()> {
        let stage = Stage::new(self)?;
        let mut members: Vec<Member> = Vec::new();
        for image in images {
            let known = members.iter_mut().find(|m| m.documents.digest == image.digest);
            match known {
                Some(member) => member.names.extend(image.name.clone()),
                None => members.push(Member {
                    documents: self.held(&stage, &image.digest)?,
                    names: image.name.iter().cloned().collect(),
                }),
            }
        }
        archive::write(format, &members, stage.layout(), out)
    }

    /// The documents of an image all of whose blobs the stage now holds.
    pub(super) fn held(&self, stage: &Stage<'_>, digest: &Digest) -> Result<Documents> {
        let documents = self.blobs.image(digest)?;
        if stage.hold(documents.blobs().chain([*digest]))? {
            return Ok(documents);
        }
        Err(Error::Incomplete { name: documents.config_digest.to_string() })
    }

    /// Reads all images of an archive that `save`, docker or podman wrote,
    /// compressed or not.
    pub fn load(
        &self,
        from: &mut dyn Read,
        registry: &str,
        options: &PullOptions,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Vec<Found>> {
        let stage = Stage::new(self)?;
        let file = stage.dir().join("archive.tar");
        let tar = spool(from, &file, options.limits.unpacked)?;
        let contents = archive::read(&tar, stage.layout(), stage.dir())?;
        let loaded = match contents {
            Contents::Oci(index) => from_oci(&stage, &index, registry, options)?,
            Contents::Docker(table) => {
                from_docker(&stage, &file, table, registry, options, progress)?
            }
        };
        let mut found = Vec::new();
        for (digest, names) in loaded {
            let documents = stage.layout().image(&digest)?;
            let size = stage.size(&digest)?;
            let entry = |name| Entry { name, digest, size, stamp: None, remote: None };
            let mut entries: Vec<Entry> = names.iter().cloned().map(|n| entry(Some(n))).collect();
            found.extend(names.into_iter().map(|name| Found { digest, name: Some(name) }));
            if entries.is_empty() {
                entries.push(entry(None));
                found.push(Found { digest, name: None });
            }
            let id = documents.config_digest;
            finish(&stage, String::new(), documents, entries, options, progress)?;
            self.tell("load", id, found.last().and_then(|found| found.name.as_deref()));
        }
        Ok(found)
    }

    /// Makes an image of one layer out of a tar archive of a root file system,
    /// compressed or not. `config` is the `config` object of its configuration.
    pub fn import(
        &self,
        from: &mut dyn Read,
        config: Value,
        comment: &str,
        name: Option<&Reference>,
        options: &PullOptions,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Digest> {
        let stage = Stage::new(self)?;
        let (layer, descriptor) = put_layer(&stage, from, options)?;
        let now = now();
        let mut document = json!({
            "created": now, "os": "linux", "architecture": options.platform.architecture,
            "config": config, "rootfs": {"type": "layers", "diff_ids": [layer.to_string()]},
            "history": [{"created": now, "comment": comment}],
        });
        if let Some(variant) = &options.platform.variant {
            document["variant"] = json!(variant);
        }
        put_image(&stage, "import", &document, json!([descriptor]), name, options, progress)
    }
}

/// An image's manifest and its names.
type Loaded = (Digest, Vec<String>);

fn from_oci(
    stage: &Stage<'_>,
    index: &ImageIndex,
    registry: &str,
    options: &PullOptions,
) -> Result<Vec<Loaded>> {
    let mut loaded: Vec<Loaded> = Vec::new();
    for entry in index.manifests() {
        let start = std::slice::from_ref(entry);
        let digest = stage.layout().descend(start, "the archive", &options.platform)?;
        // What has no slash and no colon is a tag by itself: it names no image.
        let name = tag(entry).filter(|name| name.contains(['/', ':']));
        let name = name.map(|name| Reference::parse_in(name, registry)).transpose()?;
        let name = name.map(|name| name.to_string());
        match loaded.iter_mut().find(|(known, _)| *known == digest) {
            Some((_, names)) => names.extend(name),
            None => loaded.push((digest, name.into_iter().collect())),
        }
    }
    Ok(loaded)
}

fn from_docker(
    stage: &Stage<'_>,
    file: &Path,
    table: Vec<DockerEntry>,
    registry: &str,
    options: &PullOptions,
    progress: &mut dyn FnMut(Progress),
) -> Result<Vec<Loaded>> {
    let mut loaded = Vec::new();
    for (number, entry) in table.into_iter().enumerate() {
        let file = file.to_owned();
        let tag = Some(format!("@{number}"));
        let source = Source::Archive { format: ArchiveFormat::Docker, file, tag };
        let digest = fetch::copy(&Reference { source }, stage, None, options, progress)?;
        let full = |name: &String| Ok(Reference::parse_in(name, registry)?.to_string());
        loaded.push((digest, entry.repo_tags.iter().map(full).collect::<Result<_>>()?));
    }
    Ok(loaded)
}

/// Writes `from`, decompressed, to a file that can be read at any place.
pub(super) fn spool(from: &mut dyn Read, path: &PathBuf, limit: u64) -> Result<File> {
    let failed = |source| Error::Archive { source };
    let input = io::BufReader::with_capacity(1 << 16, from);
    let mut input = decompress(input, true).map_err(failed)?.take(limit);
    let mut file = File::options()
        .read(true)
        .write(true)
        .create_new(true)
        .open(path)
        .map_err(Error::io(path))?;
    io::copy(&mut input, &mut file).map_err(failed)?;
    if input.limit() == 0 {
        let why = format!("it has more than the allowed {limit} bytes");
        return Err(failed(io::Error::new(io::ErrorKind::FileTooLarge, why)));
    }
    Ok(file)
}
