//! Archives of images: what `save` writes and `load` reads.
//!
//! Both formats are written as one: an OCI layout, and in docker's format the
//! table of contents that docker goes by besides, as docker itself does since
//! version 25. So an image keeps its digests in both.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::path::Path;

use oci_spec::image::ImageIndex;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tar::{Archive, Builder, EntryType, Header};

use super::layout::{Documents, Layout};
use super::{Digest, Error, Result};

/// The largest table of contents that is read, in bytes.
const MAX_TABLE: u64 = 4 << 20;

/// What kind of archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// An OCI layout in a tar.
    Oci,
    /// That of `docker save`.
    Docker,
}

/// An image in an archive.
#[derive(Debug)]
pub struct Member {
    /// Its documents.
    pub documents: Documents,
    /// Its canonical names.
    pub names: Vec<String>,
}

/// docker's table of contents, `manifest.json`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DockerEntry {
    config: String,
    /// The names, in docker's short form.
    #[serde(default, deserialize_with = "null_is_none")]
    pub repo_tags: Vec<String>,
    layers: Vec<String>,
}

fn null_is_none<'de, D: serde::Deserializer<'de>>(
    from: D,
) -> std::result::Result<Vec<String>, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

/// Writes an archive of `members`, whose blobs are in `blobs`.
pub fn write(
    format: Format,
    members: &[Member],
    blobs: &Layout,
    out: &mut dyn Write,
) -> Result<()> {
    let mut tar = Builder::new(out);
    let written = write_to(&mut tar, format, members, blobs);
    written.and_then(|()| tar.finish()).map_err(|source| Error::Archive { source })
}

fn write_to(
    tar: &mut Builder<&mut dyn Write>,
    format: Format,
    members: &[Member],
    blobs: &Layout,
) -> io::Result<()> {
    for dir in ["blobs/", "blobs/sha256/"] {
        tar.append_data(&mut header(EntryType::Directory, 0o755, 0), dir, io::empty())?;
    }
    let mut needed: Vec<Digest> =
        members.iter().flat_map(|m| m.documents.blobs().chain([m.documents.digest])).collect();
    needed.sort();
    needed.dedup();
    for blob in &needed {
        let file = File::open(blobs.blob(blob))?;
        let size = file.metadata()?.len();
        let mut header = header(EntryType::Regular, 0o644, size);
        tar.append_data(&mut header, path(blob), file.take(size))?;
    }
    let mut text = |name: &str, value: serde_json::Value| {
        let bytes = value.to_string().into_bytes();
        let mut header = header(EntryType::Regular, 0o644, bytes.len() as u64);
        tar.append_data(&mut header, name, &bytes[..])
    };
    if format == Format::Docker {
        text("manifest.json", json!(members.iter().map(docker_entry).collect::<Vec<_>>()))?;
    }
    text("index.json", index(members, blobs)?)?;
    text("oci-layout", json!({"imageLayoutVersion": "1.0.0"}))
}

fn header(kind: EntryType, mode: u32, size: u64) -> Header {
    let mut header = Header::new_ustar();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    header
}

fn path(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

fn docker_entry(member: &Member) -> DockerEntry {
    let names = member.names.iter();
    DockerEntry {
        config: path(&member.documents.config_digest),
        // docker refuses names by digest here.
        repo_tags: names.filter(|name| !name.contains('@')).cloned().collect(),
        layers: member.documents.layers.iter().map(|layer| path(&layer.digest)).collect(),
    }
}

/// An entry for each name, or one for an image without names.
fn index(members: &[Member], blobs: &Layout) -> io::Result<serde_json::Value> {
    let mut manifests = Vec::new();
    for member in members {
        let digest = member.documents.digest;
        let size = blobs.blob(&digest).metadata()?.len();
        let config = &member.documents.config;
        let entry = json!({
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "digest": digest.to_string(), "size": size,
            "platform": {"os": config.os(), "architecture": config.architecture()},
        });
        for name in &member.names {
            let mut entry = entry.clone();
            entry["annotations"] = json!({
                "org.opencontainers.image.ref.name": name, "io.containerd.image.name": name,
            });
            manifests.push(entry);
        }
        if member.names.is_empty() {
            manifests.push(entry);
        }
    }
    Ok(json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": manifests,
    }))
}

/// What was found in an archive.
#[derive(Debug)]
pub enum Contents {
    /// The index of an OCI layout, whose blobs are now in the layout given.
    Oci(Box<ImageIndex>),
    /// docker's table of contents.
    Docker(Vec<DockerEntry>),
}

/// Reads the archive in `file`. The blobs of an OCI archive are put into `into`
/// by way of `work`, each held to its digest; nothing else is unpacked.
pub fn read(file: &File, into: &Layout, work: &Path) -> Result<Contents> {
    let failed = |source| Error::Archive { source };
    let wrong = |e: serde_json::Error| failed(e.into());
    let (index, table) = tables(file).map_err(failed)?;
    match (index, table) {
        (Some(index), _) => {
            blobs(file, into, work)?;
            Ok(Contents::Oci(Box::new(serde_json::from_slice(&index).map_err(wrong)?)))
        }
        (None, Some(table)) => Ok(Contents::Docker(serde_json::from_slice(&table).map_err(wrong)?)),
        (None, None) => Err(failed(io::Error::new(
            io::ErrorKind::InvalidData,
            "neither an OCI archive nor one of docker save: it has no index.json and no manifest.json",
        ))),
    }
}

type Tables = (Option<Vec<u8>>, Option<Vec<u8>>);

/// `index.json` and `manifest.json`.
fn tables(mut file: &File) -> io::Result<Tables> {
    let (mut index, mut table) = (None, None);
    file.rewind()?;
    for entry in Archive::new(file).entries_with_seek()? {
        let entry = entry?;
        let slot = match plain(&entry.path_bytes()) {
            b"index.json" => &mut index,
            b"manifest.json" => &mut table,
            _ => continue,
        };
        let mut bytes = Vec::new();
        entry.take(MAX_TABLE + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > MAX_TABLE {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, "larger than 4 MiB"));
        }
        *slot = Some(bytes);
    }
    Ok((index, table))
}

fn plain(path: &[u8]) -> &[u8] {
    path.strip_prefix(b"./").unwrap_or(path)
}

fn blobs(mut file: &File, into: &Layout, work: &Path) -> Result<()> {
    let failed = |source| Error::Archive { source };
    file.rewind().map_err(failed)?;
    for entry in Archive::new(file).entries_with_seek().map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.path_bytes();
        let hex =
            plain(&name).strip_prefix(b"blobs/sha256/").and_then(|h| std::str::from_utf8(h).ok());
        let Some(digest) = hex.and_then(|hex| format!("sha256:{hex}").parse().ok()) else {
            continue;
        };
        drop(name);
        if entry.header().entry_type() == EntryType::Regular {
            into.receive(entry, &digest, work)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_archive_of_images_says_so() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.tar");
        let mut tar = Builder::new(File::create(&path).unwrap());
        tar.append_data(&mut header(EntryType::Regular, 0o644, 1), "a", &b"x"[..]).unwrap();
        tar.finish().unwrap();
        let read = |path: &Path| {
            read(&File::open(path).unwrap(), &Layout::at(dir.path()), dir.path()).unwrap_err()
        };
        assert!(read(&path).to_string().contains("no index.json"));
        std::fs::write(&path, [7; 1000]).unwrap();
        read(&path);
    }

    #[test]
    fn a_table_without_names_is_read() {
        let text = r#"[{"Config":"a","RepoTags":null,"Layers":[]},{"Config":"b","Layers":[]}]"#;
        let table: Vec<DockerEntry> = serde_json::from_str(text).unwrap();
        assert!(table.iter().all(|entry| entry.repo_tags.is_empty()));
    }
}
