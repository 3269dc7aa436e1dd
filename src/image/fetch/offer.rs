//! What a registry has under a name, before anything is downloaded.

use std::io::Read;
use std::process::Stdio;

use oci_spec::image::{Descriptor, ImageIndex, ImageManifest};
use serde::Deserialize;

use super::words;
use crate::image::layout::{Kind, Layout};
use crate::image::platform;
use crate::image::reference::{At, Reference, Source};
use crate::image::{Digest, Error, LayerState, PullOptions, Result};
use crate::tool::SKOPEO;

/// The largest document that is read, in bytes; skopeo draws the same line.
const MAX_DOCUMENT: u64 = 4 << 20;
/// How deep a list may lie in a list.
const MAX_DEPTH: usize = 4;

/// What a registry has under a name, for one platform.
#[derive(Debug, Clone)]
pub struct Offer {
    /// The digest of what the name means: a list, or the manifest itself.
    pub digest: Digest,
    /// The digest of the manifest itself.
    chosen: Digest,
    /// The manifest; none when it is of docker's first schema, which names its
    /// layers in other ways.
    manifest: Option<ImageManifest>,
}

impl Offer {
    /// The reference, to this very manifest.
    pub fn pinned(&self, reference: &Reference) -> Reference {
        let mut pinned = reference.clone();
        if let Source::Registry { at, .. } = &mut pinned.source {
            *at = At::Digest(self.chosen);
        }
        pinned
    }

    /// Every blob of the image but the manifest.
    pub fn blobs(&self) -> Vec<Digest> {
        self.descriptors().filter_map(digest).collect()
    }

    /// The configuration's digest.
    pub fn config(&self) -> Option<Digest> {
        digest(self.manifest.as_ref()?.config())
    }

    /// The layers, lowest first, and which of them are in `here` already.
    pub fn layers(&self, here: &Layout) -> Vec<LayerState> {
        let layers = self.manifest.iter().flat_map(|m| m.layers());
        let state = |d: &Descriptor| {
            let digest = digest(d)?;
            Some(LayerState { digest, size: d.size(), present: here.blob(&digest).exists() })
        };
        layers.filter_map(state).collect()
    }

    fn descriptors(&self) -> impl Iterator<Item = &Descriptor> {
        self.manifest.iter().flat_map(|m| m.layers().iter().chain([m.config()]))
    }
}

fn digest(descriptor: &Descriptor) -> Option<Digest> {
    descriptor.digest().as_ref().parse().ok()
}

/// What kind of document this is, by its own words.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Probe {
    schema_version: u32,
    media_type: Option<String>,
    manifests: Option<serde_json::Value>,
}

/// Asks the registry.
pub fn offer(reference: &Reference, options: &PullOptions) -> Result<Offer> {
    let first = inspect(reference, &[], options)?;
    let digest = Digest::of(&first);
    let mut bytes = first;
    let mut at = reference.clone();
    for _ in 0..MAX_DEPTH {
        let wrong = |why: String| Error::Document { digest: Digest::of(&bytes), why };
        let probe: Probe = serde_json::from_slice(&bytes).map_err(|e| wrong(e.to_string()))?;
        if probe.schema_version == 1 {
            return Ok(Offer { digest, chosen: Digest::of(&bytes), manifest: None });
        }
        let media = probe.media_type.as_deref().and_then(Kind::of_type);
        if media != Some(Kind::Index) && probe.manifests.is_none() {
            let manifest = serde_json::from_slice(&bytes).map_err(|e| wrong(e.to_string()))?;
            return Ok(Offer { digest, chosen: Digest::of(&bytes), manifest: Some(manifest) });
        }
        let index: ImageIndex = serde_json::from_slice(&bytes).map_err(|e| wrong(e.to_string()))?;
        let known: Vec<Descriptor> =
            index.manifests().iter().filter(|d| Kind::of(d).is_some()).cloned().collect();
        let best = options.platform.pick(&known).ok_or_else(|| Error::Platform {
            reference: reference.to_string(),
            offered: platform::offered(&known),
            wanted: options.platform.clone(),
        })?;
        let child = best.digest().as_ref().parse().map_err(|e| wrong(format!("{e}")))?;
        if let Source::Registry { at, .. } = &mut at.source {
            *at = At::Digest(child);
        }
        bytes = inspect(&at, &[], options)?;
    }
    Err(Error::Document { digest, why: format!("a list lies more than {MAX_DEPTH} deep") })
}

/// The document that a name means, as the registry has it; with `--config` the
/// configuration of what it means for the platform.
pub fn inspect(reference: &Reference, what: &[&str], options: &PullOptions) -> Result<Vec<u8>> {
    let mut command = SKOPEO.command()?;
    super::choose_platform(&mut command, options);
    command.args(["inspect", "--raw"]).args(what);
    if !options.tls_verify && matches!(reference.source, Source::Registry { .. }) {
        command.arg("--tls-verify=false");
    }
    if let Some(file) = &options.authfile {
        command.arg("--authfile").arg(file);
    }
    let mut running = SKOPEO.start(command.arg(super::place(reference)).stdout(Stdio::piped()))?;
    let mut bytes = Vec::new();
    let mut read = Ok(0);
    if let Some(stdout) = running.stdout() {
        read = stdout.take(MAX_DOCUMENT + 1).read_to_end(&mut bytes);
    }
    if bytes.len() as u64 > MAX_DOCUMENT {
        let words = "its manifest is larger than 4 MiB".to_owned();
        return Err(Error::Fetch { reference: reference.to_string(), words });
    }
    running.wait().map_err(|e| words::failure(reference, e))?;
    read.map_err(|source| Error::Tool(crate::tool::Error::Io { tool: "skopeo", source }))?;
    Ok(bytes)
}
