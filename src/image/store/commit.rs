//! Images that are made of one layer, or of one more: imported, committed.

use std::io::{Read, Seek};

use oci_spec::image::{Descriptor, MediaType};
use serde_json::{Map, Value, json};

use super::super::{Digest, Error, PullOptions, Reference, Result};
use super::local::spool;
use super::stage::Stage;
use super::{Entry, Progress, Store, finish};

/// What a new image is, besides its new layer.
#[derive(Debug, Clone)]
pub struct Commit {
    /// The manifest of the image below.
    pub parent: Digest,
    /// The `config` object of its configuration.
    pub config: Map<String, Value>,
    /// Who has made it.
    pub author: Option<String>,
    /// A comment for the history.
    pub comment: String,
    /// The command that has made the changes.
    pub created_by: String,
}

impl Store {
    /// The `config` object of an image's configuration, as it is written there.
    ///
    /// # Errors
    /// [`Error::Incomplete`] when the image is not here any more.
    pub fn config(&self, digest: &Digest) -> Result<Map<String, Value>> {
        let document = self.configuration(digest)?;
        Ok(document.get("config").and_then(Value::as_object).cloned().unwrap_or_default())
    }

    fn configuration(&self, digest: &Digest) -> Result<Value> {
        let documents = self.documents(digest)?;
        let documents = documents.ok_or_else(|| Error::Incomplete { name: digest.to_string() })?;
        self.blobs.document(&documents.config_digest)
    }

    /// Makes an image of another one and a layer on top of it.
    ///
    /// # Errors
    /// [`Error::Incomplete`] when the image below is not here any more; what is wrong
    /// with the layer.
    pub fn commit(
        &self,
        layer: &mut dyn Read,
        commit: Commit,
        name: Option<&Reference>,
        options: &PullOptions,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Digest> {
        let stage = Stage::new(self)?;
        self.held(&stage, &commit.parent)?;
        let mut document = self.configuration(&commit.parent)?;
        let manifest: Value = self.blobs.document(&commit.parent)?;
        let (layer, descriptor) = put_layer(&stage, layer, options)?;
        let now = now();
        document["created"] = json!(now);
        document["config"] = Value::Object(commit.config);
        if let Some(author) = &commit.author {
            document["author"] = json!(author);
        }
        push(&mut document["rootfs"]["diff_ids"], json!(layer.to_string()));
        let mut entry = json!({"created": now, "created_by": commit.created_by});
        let texts = [("author", commit.author.unwrap_or_default()), ("comment", commit.comment)];
        for (key, text) in texts.into_iter().filter(|(_, text)| !text.is_empty()) {
            entry[key] = json!(text);
        }
        push(&mut document["history"], entry);
        let mut layers = manifest["layers"].clone();
        push(&mut layers, json!(descriptor));
        put_image(&stage, "commit", &document, layers, name, options, progress)
    }
}

/// Adds to a list, which need not be there yet.
fn push(list: &mut Value, item: Value) {
    match list {
        Value::Array(items) => items.push(item),
        other => *other = json!([item]),
    }
}

/// Now, as configurations of images have it.
pub fn now() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// Takes a layer in, compressed or not. Returns its digest, which is that of what is
/// kept: it is not compressed.
pub fn put_layer(
    stage: &Stage<'_>,
    from: &mut dyn Read,
    options: &PullOptions,
) -> Result<(Digest, Descriptor)> {
    let half = stage.dir().join("layer.tar");
    let mut file = spool(from, &half, options.limits.unpacked)?;
    let size = file.metadata().map_err(Error::io(&half))?.len();
    file.rewind().map_err(Error::io(&half))?;
    let layer = Digest::of_reader(&file).map_err(Error::io(&half))?;
    let blob = stage.layout().blob(&layer);
    std::fs::rename(&half, &blob).map_err(Error::io(&blob))?;
    Ok((layer, layer.descriptor(MediaType::ImageLayer, size)?))
}

/// Gives the store an image all of whose layers the stage has. `verb` is what is told.
pub fn put_image(
    stage: &Stage<'_>,
    verb: &str,
    configuration: &Value,
    layers: Value,
    name: Option<&Reference>,
    options: &PullOptions,
    progress: &mut dyn FnMut(Progress),
) -> Result<Digest> {
    let config =
        stage.layout().put(MediaType::ImageConfig, configuration.to_string().as_bytes())?;
    let manifest = json!({
        "schemaVersion": 2, "mediaType": MediaType::ImageManifest,
        "config": config, "layers": layers,
    });
    let bytes = manifest.to_string().into_bytes();
    stage.layout().put(MediaType::ImageManifest, &bytes)?;
    let digest = Digest::of(&bytes);
    let documents = stage.layout().image(&digest)?;
    let name = name.map(Reference::to_string);
    let (id, told) = (documents.config_digest, name.clone());
    let entry = Entry { name, digest, size: bytes.len() as u64, stamp: None, remote: None };
    finish(stage, String::new(), documents, vec![entry], options, progress)?;
    stage.store().tell(verb, id, told.as_deref());
    Ok(digest)
}
