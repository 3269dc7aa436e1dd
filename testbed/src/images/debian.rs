//! The Debian image: a real root of more than 100 MB, in layers that use
//! everything that layers can do.

use std::fs::File;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::json;
use tar::{Archive, EntryType};

use super::entries::{
    Tar, char_device, dir, fifo, file, file_with_xattrs, hard_link, opaque, owned, root, symlink,
    whiteout,
};
use super::layout::{Layout, Stored};

/// cap_net_bind_service=ep, as `struct vfs_cap_data` of revision 2.
const CAPABILITY: &[u8] = &[1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

/// Writes the layout to `dir` from the tar of a Debian root.
pub fn build(layout: &Path, base: &Path) -> Result<()> {
    let mut layout = Layout::create(layout)?;
    let layers = [
        layout.layer(Stored::Gzip, |tar| copy(base, tar, |path| !is_data(path)))?,
        layout.layer(Stored::Plain, |tar| copy(base, tar, is_data))?,
        layout.layer(Stored::Gzip, add_fixtures)?,
        layout.layer(Stored::Gzip, change_fixtures)?,
        layout.layer(Stored::Plain, clean_up)?,
    ];
    let config = json!({
        "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
        "Cmd": ["bash"],
        "Labels": {"made-by": "testbed"},
    });
    layout.image("latest", &layers, &config)?;
    layout.finish()
}

/// What goes into the second layer.
fn is_data(path: &str) -> bool {
    path.starts_with("usr/share/") || path.starts_with("var/")
}

/// Copies those entries of the tar `base` whose path is `wanted`.
pub(super) fn copy(base: &Path, tar: &mut Tar<'_>, wanted: impl Fn(&str) -> bool) -> Result<()> {
    let mut archive = Archive::new(File::open(base)?);
    for entry in archive.entries()? {
        let mut entry = entry?;
        let path = entry.path()?.to_string_lossy().into_owned();
        let path = path.trim_start_matches("./");
        // /dev is the engine's.
        if path.is_empty() || path.starts_with("dev/") || !wanted(path) {
            continue;
        }
        let mut header = entry.header().clone();
        let kind = header.entry_type();
        if matches!(kind, EntryType::Symlink | EntryType::Link) {
            let target = entry.link_name()?.context("a link without a target")?.into_owned();
            let target = target.to_string_lossy();
            let target = match kind {
                EntryType::Link => target.trim_start_matches("./"),
                _ => &target,
            };
            tar.append_link(&mut header, path, target)?;
        } else {
            tar.append_data(&mut header, path, &mut entry)?;
        }
    }
    Ok(())
}

/// One of everything, and what the next layer takes away or changes.
fn add_fixtures(tar: &mut Tar<'_>) -> Result<()> {
    dir(tar, "fixtures", root(0o755))?;
    file(tar, "fixtures/kept", root(0o640), b"kept\n")?;
    file(tar, "fixtures/removed", root(0o644), b"lower\n")?;
    file(tar, "fixtures/replaced", root(0o600), b"lower\n")?;
    dir(tar, "fixtures/removed-dir", root(0o755))?;
    file(tar, "fixtures/removed-dir/file", root(0o644), b"lower\n")?;
    dir(tar, "fixtures/opaque", root(0o755))?;
    file(tar, "fixtures/opaque/lower", root(0o644), b"lower\n")?;
    dir(tar, "fixtures/dir-to-file", root(0o755))?;
    file(tar, "fixtures/dir-to-file/inside", root(0o644), b"lower\n")?;
    file(tar, "fixtures/file-to-dir", root(0o644), b"lower\n")?;
    file(tar, "fixtures/setuid", root(0o4755), b"#!/bin/sh\n")?;
    file(tar, "fixtures/owned", owned(0o2750, 1234, 5678), b"owned\n")?;
    file(tar, "fixtures/link-a", root(0o644), b"one file\n")?;
    hard_link(tar, "fixtures/link-b", "fixtures/link-a")?;
    symlink(tar, "fixtures/symlink", "/etc/debian_version")?;
    symlink(tar, "fixtures/dangling", "nowhere")?;
    fifo(tar, "fixtures/fifo")?;
    char_device(tar, "fixtures/null", 1, 3)?;
    let xattrs = [("security.capability", CAPABILITY), ("user.note", b"a\0b\n")];
    file_with_xattrs(tar, "fixtures/xattrs", root(0o755), b"#!/bin/sh\n", &xattrs)?;
    let long = format!("fixtures/{0}/{0}/{0}", "long-name-".repeat(12));
    file(tar, &long, root(0o644), b"long\n")?;
    file(tar, "fixtures/ünï cödé", root(0o644), b"name\n")?;
    file(tar, "fixtures/big", root(0o644), &vec![b'x'; 3_000_000])
}

fn change_fixtures(tar: &mut Tar<'_>) -> Result<()> {
    whiteout(tar, "fixtures", "removed")?;
    whiteout(tar, "fixtures", "removed-dir")?;
    file(tar, "fixtures/replaced", owned(0o644, 1, 1), b"upper\n")?;
    // The mark comes after the new file on purpose: it means the lower layers only.
    file(tar, "fixtures/opaque/upper", root(0o644), b"upper\n")?;
    opaque(tar, "fixtures/opaque")?;
    file(tar, "fixtures/dir-to-file", root(0o644), b"upper\n")?;
    dir(tar, "fixtures/file-to-dir", root(0o711))?;
    file(tar, "fixtures/file-to-dir/inside", root(0o644), b"upper\n")
}

/// What a `RUN rm -rf` leaves behind.
fn clean_up(tar: &mut Tar<'_>) -> Result<()> {
    for name in ["info", "man"] {
        whiteout(tar, "usr/share", name)?;
    }
    whiteout(tar, "var", "cache")?;
    whiteout(tar, "var/lib", "apt")
}
