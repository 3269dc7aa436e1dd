//! From mount flags and the image's VOLUMEs to a container's mounts.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};
use vxn_proto::Tmpfs;

use super::failure::Hint;
use super::mount_flags::{self, MountFlags, Wanted};
use crate::container::devices::Device;
use crate::container::mounts::{Mount, Source};
use crate::container::store::Containers;
use crate::volume::Name;

/// The mounts that the flags ask for, and the image, which has `volumes`. File
/// systems in memory are added to `tmpfs`, disks to `devices`. Directories of this host that `-v` names
/// are made when they are missing.
pub fn mounts(
    flags: MountFlags,
    volumes: &[String],
    tmpfs: &mut Vec<Tmpfs>,
    devices: &mut Vec<Device>,
    store: &Containers,
) -> anyhow::Result<Vec<Mount>> {
    let mut mounts = Vec::new();
    for wanted in flags.volumes.into_iter().chain(flags.mounts) {
        match wanted {
            Wanted::Tmpfs(wanted) => tmpfs.push(wanted),
            Wanted::Block(wanted) => devices.push(wanted),
            Wanted::Shared { source, destination, read_only } => {
                let (source, options) = (source_of(source)?, Vec::new());
                mounts.push(Mount { source, destination, read_only, options });
            }
        }
    }
    let mut taken = BTreeSet::new();
    for path in mounts.iter().map(|m| &m.destination).chain(tmpfs.iter().map(|t| &t.path)) {
        let path = mount_flags::destination(path).map_err(|e| anyhow!(e))?;
        if taken.contains(&path) {
            bail!("duplicate mount point: {path}");
        }
        taken.insert(path);
    }
    for word in &flags.volumes_from {
        let theirs = from(word, store)?;
        mounts.extend(theirs.into_iter().filter(|mount| taken.insert(mount.destination.clone())));
    }
    for path in volumes {
        // The image's word, which may be anything.
        let Ok(destination) = mount_flags::destination(path) else { continue };
        if taken.insert(destination.clone()) {
            let (source, options) = (anonymous(true)?, Vec::new());
            mounts.push(Mount { source, destination, read_only: false, options });
        }
    }
    Ok(mounts)
}

/// What is mounted, by the user's word.
fn source_of(source: mount_flags::Source) -> anyhow::Result<Source> {
    match source {
        mount_flags::Source::Bind { path, create } => bind(&path, create).map(Source::Bind),
        mount_flags::Source::Volume { name: None, fill } => anonymous(fill),
        mount_flags::Source::Volume { name: Some(name), fill } => {
            Ok(Source::Volume { name, anonymous: false, fill })
        }
    }
}

fn anonymous(fill: bool) -> anyhow::Result<Source> {
    let name = Name::random().context("cannot make a name for a volume")?;
    Ok(Source::Volume { name, anonymous: true, fill })
}

fn bind(path: &Path, create: bool) -> anyhow::Result<PathBuf> {
    let path = std::path::absolute(path)?;
    if !path.exists() {
        if !create {
            return Err(anyhow!("bind source path does not exist: {}", path.display()))
                .context(Hint("make it, or use -v, which makes a directory".to_owned()));
        }
        fs::create_dir_all(&path).with_context(|| format!("cannot make {}", path.display()))?;
    }
    let meta = fs::metadata(&path).with_context(|| format!("cannot share {}", path.display()))?;
    if !meta.is_dir() && !meta.is_file() {
        bail!("cannot share {}: it is neither a file nor a directory", path.display());
    }
    Ok(path)
}

/// The mounts of another container, which its volumes go with.
fn from(word: &str, store: &Containers) -> anyhow::Result<Vec<Mount>> {
    let (name, options) = word.split_once(':').unwrap_or((word, ""));
    if !matches!(options, "" | "ro" | "rw" | "z" | "Z") {
        bail!("--volumes-from {word}: there is no option {options:?}, there are ro and rw");
    }
    let mut mounts = store.find(name)?.mounts;
    for mount in &mut mounts {
        mount.read_only |= options == "ro";
        if let Source::Volume { anonymous, .. } = &mut mount.source {
            *anonymous = false;
        }
    }
    Ok(mounts)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        flags: MountFlags,
    }

    fn made(words: &[&str], image: &[&str]) -> anyhow::Result<(Vec<Mount>, Vec<Tmpfs>)> {
        let root = tempfile::tempdir().unwrap();
        let flags = Line::try_parse_from([&["run"], words].concat()).unwrap().flags;
        let mut tmpfs = vec![Tmpfs { path: "/run".into(), options: Vec::new() }];
        let image: Vec<String> = image.iter().map(|path| (*path).to_owned()).collect();
        let mounts =
            mounts(flags, &image, &mut tmpfs, &mut Vec::new(), &Containers::new(root.path()))?;
        Ok((mounts, tmpfs))
    }

    #[test]
    fn the_images_volumes_are_anonymous_unless_something_is_there() {
        let words = ["-v", "data:/data", "--mount", "type=tmpfs,dst=/cache"];
        let (mounts, tmpfs) =
            made(&words, &["/data/", "/cache", "/run", "/db", "nonsense"]).unwrap();
        let seen: Vec<_> = mounts
            .iter()
            .map(|mount| match &mount.source {
                Source::Volume { anonymous, .. } => (mount.destination.as_str(), *anonymous),
                Source::Bind(_) => panic!("{mount:?}"),
            })
            .collect();
        assert_eq!(seen, [("/data", false), ("/db", true)]);
        assert_eq!(tmpfs.len(), 2);
    }

    #[test]
    fn a_place_is_taken_once() {
        for words in [["-v", "/a/../b", "-v", "x1:/b"], ["-v", "/run", "--mount", "dst=/c"]] {
            let error = made(&words, &[]).unwrap_err();
            assert!(error.to_string().starts_with("duplicate mount point: "), "{error}");
        }
    }

    #[test]
    fn a_missing_source_is_made_for_v_and_refused_for_mount() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/b");
        let shown = path.display();
        let mount = format!("type=bind,src={shown},dst=/x");
        let error = made(&["--mount", &mount], &[]).unwrap_err();
        assert!(error.chain().any(|e| e.to_string().contains("does not exist")), "{error:#}");
        let (mounts, _) = made(&["-v", &format!("{shown}:/x:ro")], &[]).unwrap();
        assert_eq!(mounts[0].source, Source::Bind(path.clone()));
        assert!(mounts[0].read_only && path.is_dir());
        made(&["--mount", &mount], &[]).unwrap();
        assert!(made(&["-v", "/dev/null:/x"], &[]).is_err());
    }
}
