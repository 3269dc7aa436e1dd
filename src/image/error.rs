//! What can go wrong between a reference and a root disk.

use std::io;
use std::path::{Path, PathBuf};

use super::merge::Refusal;
use super::{Digest, Platform};
use crate::tool;

/// The result of this room.
pub type Result<T> = std::result::Result<T, Error>;

/// Why there is no image.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The text names no image.
    #[error("{text:?} is no image reference: {why}")]
    Reference {
        /// What the user typed.
        text: String,
        /// The rule it breaks.
        why: &'static str,
    },
    /// The registry or the archive did not give the image.
    #[error("cannot fetch {reference}: {words}")]
    Fetch {
        /// The image that was asked for.
        reference: String,
        /// skopeo's own words.
        words: String,
    },
    /// An OCI layout directory or its index is not as the specification says.
    #[error("{}: {why}", path.display())]
    Layout {
        /// The directory.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// A manifest, index or configuration is not as the specification says.
    #[error("{digest}: {why}")]
    Document {
        /// The document.
        digest: Digest,
        /// What is wrong.
        why: String,
    },
    /// The image is for other machines.
    #[error("{reference} is for {offered}, and {} {wanted}", if *wanted == Platform::host() { "this host runs" } else { "wanted is" })]
    Platform {
        /// The image that was asked for.
        reference: String,
        /// The platforms that it has, comma separated.
        offered: String,
        /// The one that was wanted.
        wanted: Platform,
    },
    /// Nothing in the store is called so.
    #[error("no such image: {name}")]
    Unknown {
        /// What the user typed.
        name: String,
    },
    /// The beginning of more than one id.
    #[error("{id} is the beginning of more than one image's id")]
    Ambiguous {
        /// What the user typed.
        id: String,
    },
    /// The store lacks a part of the image.
    #[error("parts of image {name} are missing")]
    Incomplete {
        /// Its name or id.
        name: String,
    },
    /// The registry or the archive did not take the image.
    #[error("cannot push to {reference}: {words}")]
    Push {
        /// Where it was to go.
        reference: String,
        /// skopeo's own words.
        words: String,
    },
    /// The registry did not take the credentials.
    #[error("cannot log in to {registry}: {words}")]
    Login {
        /// Host and port.
        registry: String,
        /// skopeo's own words.
        words: String,
    },
    /// The registry did not answer a search.
    #[error("cannot search {registry}: {words}")]
    Search {
        /// Host and port.
        registry: String,
        /// What went wrong.
        words: String,
    },
    /// An archive that is read or written.
    #[error("the archive: {source}")]
    Archive {
        /// What is wrong with it.
        source: io::Error,
    },
    /// A blob's content is not what its digest says.
    #[error("blob {digest} is damaged: its content has digest {found}")]
    Damaged {
        /// The address.
        digest: Digest,
        /// The digest of the content.
        found: Digest,
    },
    /// A layer holds something that has no place in a root file system.
    #[error("layer {layer}: {}{why}", entry.as_ref().map(|e| format!("{e:?}: ")).unwrap_or_default())]
    Layer {
        /// The layer's blob.
        layer: Digest,
        /// The entry's name as the archive spells it, if one entry is to blame.
        entry: Option<String>,
        /// The rule it breaks.
        why: Refusal,
    },
    /// Only an EROFS disk will do, and the `mkfs.erofs` of this host cannot make it.
    #[error("mkfs.erofs makes no disks of archives, or has no lz4: it is too old")]
    OldErofs,
    /// skopeo, sqfstar or mkfs.erofs.
    #[error(transparent)]
    Tool(#[from] tool::Error),
    /// A file of ours.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
}

/// Words of skopeo and the kernel, lower case, and what helps against them.
const REMEDIES: [(&str, &str); 13] = [
    ("no space left", "free some space under /var/lib/vxn"),
    ("policy.json", "apt-get install golang-github-containers-common"),
    ("no image found in", "the image is not made for this kind of machine"),
    ("no such file", "check the path"),
    ("permission denied", "run vxn as root"),
    ("unauthorized", "log in: vxn login REGISTRY; a mistyped name gives the same answer"),
    ("denied", "log in: vxn login REGISTRY; a mistyped name gives the same answer"),
    ("manifest unknown", "check the image's name and tag"),
    ("not found", "check the image's name and tag"),
    (
        "server gave http response to https",
        "the registry speaks plain HTTP: allow it with --tls-verify=false",
    ),
    (
        "x509",
        "install the registry's certificate in /etc/docker/certs.d, or use --tls-verify=false",
    ),
    ("no such host", "check the registry's name and this host's DNS"),
    ("dial tcp", "check that the registry is up and that this host reaches it"),
];

impl Error {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Error::Reference { .. } => Some(
                "use NAME[:TAG][@DIGEST], oci:DIR[:TAG], oci-archive:FILE[:TAG], docker-archive:FILE[:TAG], \
                 containers-storage:NAME or docker-daemon:NAME:TAG"
                    .to_owned(),
            ),
            Error::Damaged { .. } => Some("fetch the image again".to_owned()),
            Error::OldErofs => Some(
                "install erofs-utils 1.7 or later, or set root_disk = \"squashfs\" in \
                 /etc/vxn/vxn.toml"
                    .to_owned(),
            ),
            Error::Tool(e) => e.hint().or_else(|| remedy(&e.to_string())),
            Error::Fetch { words, .. }
            | Error::Push { words, .. }
            | Error::Login { words, .. }
            | Error::Search { words, .. } => remedy(words),
            Error::Unknown { .. } => Some("`vxn images` lists what is here, `vxn pull` gets more".to_owned()),
            Error::Incomplete { .. } => Some("`vxn system check` fetches them again".to_owned()),
            Error::Archive { source } => remedy(&source.to_string()),
            Error::Io { source, .. } => remedy(&source.to_string()),
            _ => None,
        }
    }

    /// A failed fetch as the failed push that it was.
    pub(super) fn while_pushing(self) -> Error {
        match self {
            Error::Fetch { reference, words } => Error::Push { reference, words },
            other => other,
        }
    }

    /// For `map_err`: a failure of the file at `path`.
    pub(super) fn io(path: &Path) -> impl FnOnce(io::Error) -> Error {
        let path = path.to_owned();
        move |source| Error::Io { path, source }
    }
}

fn remedy(words: &str) -> Option<String> {
    let words = words.to_ascii_lowercase();
    REMEDIES.iter().find(|(sign, _)| words.contains(sign)).map(|(_, remedy)| (*remedy).to_owned())
}
