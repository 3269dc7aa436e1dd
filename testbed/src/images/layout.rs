//! Writes images as an OCI layout: blobs, configurations, manifests, an index.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// An OCI layout that is being written.
#[derive(Debug)]
pub struct Layout {
    dir: PathBuf,
    manifests: Vec<Value>,
}

/// A layer in a layout.
#[derive(Debug, Clone)]
pub struct Layer {
    /// Its descriptor for a manifest.
    descriptor: Value,
    /// The digest of its uncompressed tar.
    diff_id: String,
}

/// How a layer is stored.
#[derive(Debug, Clone, Copy)]
pub enum Stored {
    /// As it is.
    Plain,
    /// Compressed with gzip.
    Gzip,
}

impl Layout {
    /// Starts a layout in `dir`, which is made.
    pub fn create(dir: &Path) -> Result<Self> {
        fs::create_dir_all(dir.join("blobs/sha256"))?;
        fs::write(dir.join("oci-layout"), json!({"imageLayoutVersion": "1.0.0"}).to_string())?;
        Ok(Self { dir: dir.to_owned(), manifests: Vec::new() })
    }

    /// Adds a layer with what `write` puts into a tar.
    pub fn layer<W>(&self, stored: Stored, write: W) -> Result<Layer>
    where
        W: FnOnce(&mut tar::Builder<&mut dyn Write>) -> Result<()>,
    {
        let path = self.dir.join("blobs/new");
        let mut blob = Hashed::new(File::create(&path)?);
        let (media_type, diff_id) = match stored {
            Stored::Plain => {
                let diff_id = write_tar(&mut blob, write)?.1;
                ("application/vnd.oci.image.layer.v1.tar", diff_id)
            }
            Stored::Gzip => {
                let encoder = GzEncoder::new(&mut blob, Compression::fast());
                let (encoder, diff_id) = write_tar(encoder, write)?;
                encoder.finish()?;
                ("application/vnd.oci.image.layer.v1.tar+gzip", diff_id)
            }
        };
        let (digest, size) = blob.finish();
        fs::rename(&path, self.blob(&digest))?;
        Ok(Layer { descriptor: descriptor(media_type, &digest, size), diff_id })
    }

    /// Adds an image of `layers` under `tag`; `config` is the `config` object of
    /// the image configuration.
    pub fn image(&mut self, tag: &str, layers: &[Layer], config: &Value) -> Result<()> {
        let diff_ids: Vec<&str> = layers.iter().map(|layer| layer.diff_id.as_str()).collect();
        let config = self.json(
            "application/vnd.oci.image.config.v1+json",
            &json!({
                "architecture": "amd64",
                "os": "linux",
                "config": config,
                "rootfs": {"type": "layers", "diff_ids": diff_ids},
            }),
        )?;
        let layers: Vec<&Value> = layers.iter().map(|layer| &layer.descriptor).collect();
        let media_type = "application/vnd.oci.image.manifest.v1+json";
        let manifest = json!({
            "schemaVersion": 2, "mediaType": media_type, "config": config, "layers": layers,
        });
        let mut entry = self.json(media_type, &manifest)?;
        entry["annotations"] = json!({"org.opencontainers.image.ref.name": tag});
        entry["platform"] = json!({"architecture": "amd64", "os": "linux"});
        self.manifests.push(entry);
        Ok(())
    }

    /// Writes the index: the layout is complete.
    pub fn finish(self) -> Result<()> {
        let index = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.index.v1+json",
            "manifests": self.manifests,
        });
        let path = self.dir.join("index.json");
        fs::write(&path, index.to_string())
            .with_context(|| format!("cannot write {}", path.display()))
    }

    /// Stores `value` as a blob; returns its descriptor.
    fn json(&self, media_type: &str, value: &Value) -> Result<Value> {
        let mut blob = Hashed::new(Vec::new());
        blob.write_all(value.to_string().as_bytes())?;
        let bytes = blob.inner.clone();
        let (digest, size) = blob.finish();
        fs::write(self.blob(&digest), bytes)?;
        Ok(descriptor(media_type, &digest, size))
    }

    fn blob(&self, digest: &str) -> PathBuf {
        self.dir.join("blobs/sha256").join(digest)
    }
}

/// Writes a tar to `out`; returns it and the tar's digest.
fn write_tar<O: Write>(
    out: O,
    write: impl FnOnce(&mut tar::Builder<&mut dyn Write>) -> Result<()>,
) -> Result<(O, String)> {
    let mut hashed = Hashed::new(out);
    let mut builder = tar::Builder::new(&mut hashed as &mut dyn Write);
    write(&mut builder)?;
    builder.finish()?;
    drop(builder);
    let digest = format!("sha256:{}", hex(hashed.hasher));
    Ok((hashed.inner, digest))
}

fn descriptor(media_type: &str, digest: &str, size: u64) -> Value {
    json!({"mediaType": media_type, "digest": format!("sha256:{digest}"), "size": size})
}

fn hex(hasher: Sha256) -> String {
    hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Hashes and counts what passes through.
struct Hashed<W> {
    inner: W,
    hasher: Sha256,
    size: u64,
}

impl<W: Write> Hashed<W> {
    fn new(inner: W) -> Self {
        Self { inner, hasher: Sha256::new(), size: 0 }
    }

    fn finish(self) -> (String, u64) {
        (hex(self.hasher), self.size)
    }
}

impl<W: Write> Write for Hashed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(bytes)?;
        self.hasher.update(&bytes[..count]);
        self.size += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
