//! From an image reference to a read-only root disk. Knows no Xen.
//!
//! skopeo moves images; from there on all is ours. Blobs lie in one OCI layout,
//! `images/`, shared by all images. The layers of an image are merged, streamed
//! through `sqfstar` or `mkfs.erofs` and never unpacked, into one file under `disks/`, made once
//! for each distinct stack of layers.

mod ahead;
pub mod archive;
mod blob_lock;
pub mod change;
mod digest;
mod disk;
mod error;
mod fetch;
mod flatten;
mod format;
mod layer;
mod layout;
pub mod login;
pub mod merge;
mod platform;
mod reference;
pub mod search;
pub mod store;

use std::path::PathBuf;

pub use digest::{Digest, NotADigest};
pub use disk::probe_erofs;
pub use error::{Error, Result};
pub use format::{DiskFormat, Formats};
pub use layout::Documents;
pub use oci_spec::image::ImageConfiguration;
pub use platform::Platform;
pub use reference::{At, DEFAULT_REGISTRY, Reference};
use serde::Serialize;
pub use store::Store;

/// An image that is ready to run.
#[derive(Debug, Clone)]
pub struct Image {
    /// The canonical reference, `docker.io/library/busybox:latest`.
    pub reference: String,
    /// The digest of the manifest in the store. Docker manifests are converted
    /// to OCI on the way in, so this can differ from the registry's digest.
    pub digest: Digest,
    /// The digest of the configuration: the image's identity.
    pub config_digest: Digest,
    /// Entry point, environment, user and the like.
    pub config: ImageConfiguration,
    /// The merged layers.
    pub root_disk: RootDisk,
}

/// A read-only disk that holds a root file system, shared by all containers of
/// all images with the same layers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RootDisk {
    /// The file, absolute.
    pub path: PathBuf,
    /// What is in it.
    pub format: DiskFormat,
}

/// How to fetch an image.
#[derive(Debug, Clone)]
pub struct PullOptions {
    /// Demand HTTPS and a valid certificate of the registry.
    pub tls_verify: bool,
    /// Credentials, in place of skopeo's own default files.
    pub authfile: Option<PathBuf>,
    /// The machine that it is for.
    pub platform: Platform,
    /// What an image may cost.
    pub limits: merge::Limits,
    /// What kinds of root disks will do.
    pub formats: Formats,
}

impl Default for PullOptions {
    fn default() -> PullOptions {
        PullOptions {
            tls_verify: true,
            authfile: None,
            platform: Platform::host(),
            limits: merge::Limits::default(),
            formats: Formats::default(),
        }
    }
}

/// How to push an image.
#[derive(Debug, Clone)]
pub struct PushOptions {
    /// Demand HTTPS and a valid certificate of the registry.
    pub tls_verify: bool,
    /// Credentials, in place of skopeo's own default files.
    pub authfile: Option<PathBuf>,
    /// The kind of manifest to make; none keeps the image's own.
    pub format: Option<ManifestFormat>,
}

/// Kinds of manifests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ManifestFormat {
    /// OCI's.
    Oci,
    /// docker's, schema 2.
    V2s2,
}

impl ManifestFormat {
    /// skopeo's word for it.
    pub fn word(self) -> &'static str {
        match self {
            ManifestFormat::Oci => "oci",
            ManifestFormat::V2s2 => "v2s2",
        }
    }
}

/// A layer that is about to be moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct LayerState {
    /// Its blob.
    pub digest: Digest,
    /// Bytes of the blob.
    pub size: u64,
    /// Whether it is here already.
    pub present: bool,
}

/// A step on the way from a registry to a root disk, or back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Progress {
    /// Another command downloads a layer that is needed here too.
    Waiting,
    /// The registry has nothing newer.
    UpToDate,
    /// The layers of the image, lowest first.
    Layers {
        /// Each with what is known of it.
        layers: Vec<LayerState>,
    },
    /// `bytes` of a blob have been copied.
    Fetching {
        /// Which.
        layer: Digest,
        /// So many so far, rounded by skopeo.
        bytes: u64,
    },
    /// A blob has been copied, or was there already.
    Fetched {
        /// Which.
        layer: Digest,
    },
    /// Layer `number` of `count`, from 1, is being checked.
    Check {
        /// Which.
        number: usize,
        /// Of how many.
        count: usize,
    },
    /// Layer `number` of `count`, from 1, is being written to the root disk.
    Write {
        /// Which.
        number: usize,
        /// Of how many.
        count: usize,
    },
    /// The image is ready to run.
    Done,
}
