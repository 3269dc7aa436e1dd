//! What users type to name an image, read the way docker and skopeo do.

use std::fmt;
use std::path::PathBuf;

use super::{Digest, Error, Result};

/// A parsed image reference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    pub(super) source: Source,
}

/// Where an image comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Source {
    /// `docker.io/library/busybox`, and a tag or a digest: the digest wins, as
    /// in docker.
    Registry { name: String, at: At },
    /// An OCI layout directory.
    Layout { dir: PathBuf, tag: Option<String> },
    /// One file.
    Archive { format: ArchiveFormat, file: PathBuf, tag: Option<String> },
    /// Another engine's store, in skopeo's words: `containers-storage`, and what
    /// follows the colon.
    Engine { transport: &'static str, name: String },
}

/// Which of the images of one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum At {
    /// The one that is called so now.
    Tag(String),
    /// Always the same.
    Digest(Digest),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ArchiveFormat {
    Oci,
    Docker,
}

impl ArchiveFormat {
    /// The transport's name in skopeo.
    pub(super) fn transport(self) -> &'static str {
        match self {
            ArchiveFormat::Oci => "oci-archive",
            ArchiveFormat::Docker => "docker-archive",
        }
    }
}

/// Where bare names lead unless the settings say otherwise.
pub const DEFAULT_REGISTRY: &str = "docker.io";
/// The stores of other engines that skopeo reads: podman's and buildah's, and
/// docker's.
const ENGINES: [&str; 2] = ["containers-storage", "docker-daemon"];
/// Docker's own limit on the name, registry included.
const MAX_NAME: usize = 255;
const MAX_TAG: usize = 128;

impl Reference {
    /// Parses `busybox`, `alpine:3`, `localhost:5000/a/b@sha256:…`,
    /// `docker://…`, `oci:DIR[:TAG]`, `oci-archive:FILE[:TAG]`,
    /// `docker-archive:FILE[:TAG]`, `containers-storage:NAME` or
    /// `docker-daemon:NAME:TAG`. Bare names get docker's defaults: `docker.io`,
    /// `library/`, `latest`. As in skopeo, a path has no colon.
    pub fn parse(text: &str) -> Result<Reference> {
        Reference::parse_in(text, DEFAULT_REGISTRY)
    }

    /// The same, where names without a registry belong to `registry`.
    pub fn parse_in(text: &str, registry: &str) -> Result<Reference> {
        let engine = |name: &&str| text.strip_prefix(*name)?.strip_prefix(':');
        let source = if let Some(transport) = ENGINES.into_iter().find(|e| engine(e).is_some()) {
            self::engine(transport, engine(&transport).unwrap_or_default())
        } else if let Some(rest) = text.strip_prefix("oci:") {
            path_and_tag(rest).map(|(dir, tag)| Source::Layout { dir, tag })
        } else if let Some(rest) = text.strip_prefix("oci-archive:") {
            archive(ArchiveFormat::Oci, rest)
        } else if let Some(rest) = text.strip_prefix("docker-archive:") {
            archive(ArchiveFormat::Docker, rest)
        } else {
            self::registry(text.strip_prefix("docker://").unwrap_or(text), registry)
        };
        let source = source.map_err(|why| Error::Reference { text: text.to_owned(), why })?;
        Ok(Reference { source })
    }

    /// The name in a registry, and the tag or digest behind it.
    pub fn in_registry(&self) -> Option<(&str, At)> {
        match &self.source {
            Source::Registry { name, at } => Some((name, at.clone())),
            _ => None,
        }
    }

    /// The same image, with the path of a local one made absolute and free of
    /// symbolic links.
    pub(super) fn absolute(&self) -> Result<Reference> {
        let mut absolute = self.clone();
        match &mut absolute.source {
            Source::Registry { .. } | Source::Engine { .. } => {}
            Source::Layout { dir: path, .. } | Source::Archive { file: path, .. } => {
                *path = std::fs::canonicalize(&path).map_err(Error::io(path))?;
            }
        }
        Ok(absolute)
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (transport, path, tag) = match &self.source {
            Source::Registry { name, at: At::Tag(tag) } => return write!(f, "{name}:{tag}"),
            Source::Registry { name, at: At::Digest(digest) } => {
                return write!(f, "{name}@{digest}");
            }
            Source::Engine { transport, name } => return write!(f, "{transport}:{name}"),
            Source::Layout { dir, tag } => ("oci", dir, tag),
            Source::Archive { format, file, tag } => (format.transport(), file, tag),
        };
        write!(f, "{transport}:{}", path.display())?;
        tag.as_ref().map_or(Ok(()), |tag| write!(f, ":{tag}"))
    }
}

type Parsed<T> = std::result::Result<T, &'static str>;

fn archive(format: ArchiveFormat, rest: &str) -> Parsed<Source> {
    path_and_tag(rest).map(|(file, tag)| Source::Archive { format, file, tag })
}

fn path_and_tag(rest: &str) -> Parsed<(PathBuf, Option<String>)> {
    let (path, tag) = match rest.split_once(':') {
        Some((path, tag)) => (path, Some(tag)),
        None => (rest, None),
    };
    if path.is_empty() || rest.contains('\0') {
        return Err("it has no path");
    }
    if tag == Some("") {
        return Err("its tag is empty");
    }
    Ok((PathBuf::from(path), tag.map(str::to_owned)))
}

fn engine(transport: &'static str, name: &str) -> Parsed<Source> {
    if name.is_empty() || name.contains(char::is_control) {
        return Err("it has no name");
    }
    Ok(Source::Engine { transport, name: name.to_owned() })
}

/// The grammar of github.com/distribution/reference, with docker's defaults.
fn registry(text: &str, default: &str) -> Parsed<Source> {
    let (rest, digest) = match text.split_once('@') {
        Some((rest, digest)) => {
            (rest, Some(digest.parse().map_err(|_| "what follows @ is no sha256 digest")?))
        }
        None => (text, None),
    };
    // A colon before the last slash belongs to a port.
    let (name, tag) = match rest.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
        _ => (rest, None),
    };
    if !tag.is_none_or(is_tag) {
        return Err("its tag is malformed");
    }
    let name = full_name(name, default)?;
    let at = match digest {
        Some(digest) => At::Digest(digest),
        None => At::Tag(tag.unwrap_or("latest").to_owned()),
    };
    Ok(Source::Registry { name, at })
}

fn full_name(name: &str, default: &str) -> Parsed<String> {
    let (host, path) = match name.split_once('/') {
        Some((first, rest)) if is_host(first) => (first, rest),
        _ => (default, name),
    };
    let host = if host == "index.docker.io" { DEFAULT_REGISTRY } else { host };
    if !is_host_and_port(host) {
        return Err("its registry is malformed");
    }
    if path.is_empty() {
        return Err("it has no name");
    }
    if path.bytes().any(|b| b.is_ascii_uppercase()) {
        return Err("its name must be lower case");
    }
    if !path.split('/').all(is_component) {
        return Err("its name is malformed");
    }
    if path.len() == 64 && path.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err("64 hex digits are an image id, not a name");
    }
    let official = host == DEFAULT_REGISTRY && !path.contains('/');
    let full = format!("{host}/{}{path}", if official { "library/" } else { "" });
    if full.len() > MAX_NAME { Err("its name is too long") } else { Ok(full) }
}

/// Whether a name's first component is a registry and not docker hub's user.
fn is_host(first: &str) -> bool {
    first == "localhost"
        || first.contains(['.', ':'])
        || first.bytes().any(|b| b.is_ascii_uppercase())
}

fn is_host_and_port(text: &str) -> bool {
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, port)) => {
            if address.parse::<std::net::Ipv6Addr>().is_err() {
                return false;
            }
            ("v6", port.strip_prefix(':'))
        }
        None => text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port))),
    };
    let label = |l: &str| {
        !l.is_empty()
            && l.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !l.starts_with('-')
            && !l.ends_with('-')
    };
    host.split('.').all(label) && port.is_none_or(|p| p.parse::<u16>().is_ok())
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`
fn is_component(text: &str) -> bool {
    let alphanumeric = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = text.as_bytes();
    let ends = bytes.first().is_some_and(alphanumeric) && bytes.last().is_some_and(alphanumeric);
    ends && bytes
        .split(alphanumeric)
        .all(|gap| matches!(gap, b"" | b"." | b"_" | b"__") || gap.iter().all(|&b| b == b'-'))
}

/// `[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}`
fn is_tag(text: &str) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    (1..=MAX_TAG).contains(&text.len())
        && text.bytes().next().is_some_and(word)
        && text.bytes().all(|b| word(b) || b == b'.' || b == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HEX: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn bare_names_get_dockers_defaults() {
        for (typed, full) in [
            ("busybox", "docker.io/library/busybox:latest"),
            ("alpine:3", "docker.io/library/alpine:3"),
            ("user/app", "docker.io/user/app:latest"),
            ("docker.io/busybox", "docker.io/library/busybox:latest"),
            ("index.docker.io/library/busybox", "docker.io/library/busybox:latest"),
            ("docker://quay.io/a/b:v1", "quay.io/a/b:v1"),
            ("localhost/a", "localhost/a:latest"),
            ("localhost:5000/a/b:1.0", "localhost:5000/a/b:1.0"),
            ("[::1]:5000/a", "[::1]:5000/a:latest"),
            ("a__b/c-d--e.f", "docker.io/a__b/c-d--e.f:latest"),
            ("oci:dir", "oci:dir"),
            ("oci:/a/b:tag", "oci:/a/b:tag"),
            ("oci-archive:f.tar:v:1", "oci-archive:f.tar:v:1"),
            ("docker-archive:./f.tar:busybox:1", "docker-archive:./f.tar:busybox:1"),
            ("containers-storage:localhost/a", "containers-storage:localhost/a"),
            ("docker-daemon:a:1", "docker-daemon:a:1"),
        ] {
            assert_eq!(Reference::parse(typed).unwrap().to_string(), full);
        }
    }

    #[test]
    fn bare_names_belong_to_the_registry_of_the_settings() {
        let full = |typed| Reference::parse_in(typed, "reg:5000").unwrap().to_string();
        assert_eq!(full("a"), "reg:5000/a:latest");
        assert_eq!(full("user/a:1"), "reg:5000/user/a:1");
        assert_eq!(full("docker.io/a"), "docker.io/library/a:latest");
    }

    #[test]
    fn a_digest_beats_a_tag() {
        let reference = Reference::parse(&format!("reg:5000/a/b:1@sha256:{HEX}")).unwrap();
        assert_eq!(reference.to_string(), format!("reg:5000/a/b@sha256:{HEX}"));
    }

    #[test]
    fn malformed_references_say_why() {
        for (typed, why) in [
            ("", "no name"),
            ("Busybox", "lower case"),
            ("a//b", "malformed"),
            ("a/../b", "malformed"),
            ("-a", "malformed"),
            ("a___b", "malformed"),
            ("a:", "tag"),
            ("a:b c", "tag"),
            ("a@sha256:12", "digest"),
            (HEX, "image id"),
            ("host:port/a", "registry"),
            ("oci:", "path"),
            ("oci:dir:", "tag"),
            ("oci-archive::tag", "path"),
        ] {
            let error = Reference::parse(typed).unwrap_err();
            assert!(error.to_string().contains(why), "{typed:?}: {error}");
            assert!(error.hint().is_some());
        }
        assert!(Reference::parse(&"a".repeat(300)).is_err());
    }

    proptest! {
        #[test]
        fn parsing_what_was_printed_changes_nothing(text in "[a-zA-Z0-9./:@_\\[\\]-]{0,40}") {
            if let Ok(reference) = Reference::parse(&text) {
                prop_assert_eq!(Reference::parse(&reference.to_string()).unwrap(), reference);
            }
        }
    }
}
