//! From an image reference to a read-only root disk. Knows no Xen.
//!
//! skopeo moves images; from there on all is ours. Blobs lie in one OCI layout,
//! `images/`, shared by all images. The layers of an image are merged, streamed
//! through `sqfstar` and never unpacked, into one file under `disks/`, made once
//! for each distinct stack of layers.

mod digest;
mod disk;
mod error;
mod fetch;
mod flatten;
mod layer;
mod layout;
pub mod merge;
mod platform;
mod reference;
mod store;

use std::fmt;
use std::path::PathBuf;

pub use digest::{Digest, NotADigest};
pub use error::{Error, Result};
pub use oci_spec::image::ImageConfiguration;
pub use reference::Reference;
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

/// The file system on a root disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum DiskFormat {
    /// squashfs 4.0 with lz4.
    SquashFs,
}

impl DiskFormat {
    /// The name that mount(2) knows, and that of the kernel module.
    pub fn fs_type(self) -> &'static str {
        match self {
            DiskFormat::SquashFs => "squashfs",
        }
    }
}

/// How to fetch an image.
#[derive(Debug, Clone)]
pub struct PullOptions {
    /// Demand HTTPS and a valid certificate of the registry.
    pub tls_verify: bool,
    /// Credentials, in place of skopeo's own default files.
    pub authfile: Option<PathBuf>,
    /// What an image may cost.
    pub limits: merge::Limits,
}

impl Default for PullOptions {
    fn default() -> PullOptions {
        PullOptions { tls_verify: true, authfile: None, limits: merge::Limits::default() }
    }
}

/// A step on the way from a registry to a root disk; printed, a line for users.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Progress {
    /// A line of skopeo.
    Fetch(String),
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
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Progress::Fetch(line) => f.write_str(line),
            Progress::Check { number, count } => write!(f, "Checking layer {number} of {count}"),
            Progress::Write { number, count } => write!(f, "Writing layer {number} of {count}"),
        }
    }
}
