//! What others make of the same layers: umoci, and GNU tar with the whiteouts
//! of the specification carried out by hand.
#![allow(dead_code, reason = "each suite uses its part")]

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, ChildStdout, Stdio};
use std::time::SystemTime;

use serde_json::Value;
use vxn::tool::{Running, SKOPEO, Tool};

const PYTHON: Tool = Tool { name: "python3", package: "python3" };
const UMOCI: Tool = Tool { name: "umoci", package: "umoci" };
const TAR: Tool = Tool { name: "tar", package: "tar" };
const UNSQUASHFS: Tool = Tool { name: "unsquashfs", package: "squashfs-tools" };

/// All names below a directory, with all that they are.
pub type Tree = BTreeMap<String, Value>;

/// Reads trees with Python's eyes; one process for all.
pub struct Eyes {
    ask: ChildStdin,
    answers: BufReader<ChildStdout>,
    _python: Running,
}

impl Eyes {
    pub fn open() -> Eyes {
        let mut command = PYTHON.command().unwrap();
        command.args(["-c", include_str!("tree.py")]);
        let mut python =
            PYTHON.start(command.stdin(Stdio::piped()).stdout(Stdio::piped())).unwrap();
        let (ask, answers) = (python.stdin().unwrap(), python.stdout().unwrap());
        Eyes { ask, answers: BufReader::new(answers), _python: python }
    }

    pub fn look(&mut self, dir: &Path) -> Tree {
        writeln!(self.ask, "{}", dir.display()).unwrap();
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap()
    }
}

/// Unpacks a root disk.
pub fn disk(disk: &Path, into: &Path) -> PathBuf {
    run(UNSQUASHFS, &["-no-progress", "-quiet", "-dest", text(into), text(disk)]);
    into.to_owned()
}

/// What umoci makes of the image `tag` of a layout.
pub fn umoci(layout: &Path, tag: &str, into: &Path) -> PathBuf {
    let image = format!("{}:{tag}", layout.display());
    run(UMOCI, &["unpack", "--image", &image, text(into)]);
    into.join("rootfs")
}

/// What skopeo and GNU tar make of an image.
pub fn skopeo(image: &str, work: &Path) -> PathBuf {
    let (flat, root) = (work.join("flat"), work.join("tar-root"));
    run(SKOPEO, &["copy", "-q", image, &format!("dir:{}", flat.display())]);
    fs::create_dir(&root).unwrap();
    let manifest: Value =
        serde_json::from_slice(&fs::read(flat.join("manifest.json")).unwrap()).unwrap();
    for layer in manifest["layers"].as_array().unwrap() {
        let blob = flat.join(layer["digest"].as_str().unwrap().trim_start_matches("sha256:"));
        let plain = work.join("layer.tar");
        let packed = fs::read(blob).unwrap();
        if packed.starts_with(&[0x1f, 0x8b]) {
            let mut tar = flate2::read::MultiGzDecoder::new(&packed[..]);
            std::io::copy(&mut tar, &mut fs::File::create(&plain).unwrap()).unwrap();
        } else {
            fs::write(&plain, packed).unwrap();
        }
        lay(&plain, &root);
    }
    root
}

/// Lays the layer in the plain archive `tar` over `root`, as OCI's image-spec
/// has it: whiteouts first, for they mean the lower layers only, then the rest.
pub fn lay(tar: &Path, root: &Path) {
    let file = fs::File::open(tar).unwrap();
    let mut others = Vec::new();
    for entry in tar::Archive::new(file).entries().unwrap() {
        let entry = entry.unwrap();
        let path = root.join(entry.path().unwrap());
        let dir = path.parent().unwrap();
        let name = path.file_name().unwrap().to_str().unwrap_or_default();
        match name.strip_prefix(".wh.") {
            Some(".wh..opq") => {
                fs::read_dir(dir).into_iter().flatten().for_each(|e| remove(&e.unwrap().path()))
            }
            Some(hidden) => remove(&dir.join(hidden)),
            None => others.push((path, entry.header().entry_type().is_dir())),
        }
    }
    // GNU tar replaces no full directory by anything else, nor what it finds by one.
    for (path, is_dir) in others {
        let there = path.symlink_metadata();
        if there.is_ok_and(|m| m.is_dir() != is_dir) {
            remove(&path);
        }
    }
    let arguments = ["--extract", "--same-permissions", "--same-owner", "--numeric-owner"];
    let mut command = TAR.command().unwrap();
    command.args(arguments).args(["--xattrs", "--xattrs-include=*", "--exclude=.wh.*"]);
    // What is there keeps its times when names come into it.
    command.args(["--file", text(tar), "--directory", text(root)]);
    TAR.start(&mut command).unwrap().wait().unwrap();
}

fn remove(path: &Path) {
    match path.symlink_metadata() {
        Ok(m) if m.is_dir() => fs::remove_dir_all(path).unwrap(),
        Ok(_) => fs::remove_file(path).unwrap(),
        Err(_) => {}
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn run(tool: Tool, arguments: &[&str]) {
    tool.start(tool.command().unwrap().args(arguments)).unwrap().wait().unwrap();
}

/// Asserts that two trees are equal, naming the first names that differ.
#[track_caller]
pub fn same(ours: &Tree, theirs: &Tree, whose: &str) {
    let names: std::collections::BTreeSet<_> = ours.keys().chain(theirs.keys()).collect();
    let differ: Vec<String> = names
        .into_iter()
        .filter(|name| ours.get(*name) != theirs.get(*name))
        .map(|name| format!("{name}: vxn {:?}, {whose} {:?}", ours.get(name), theirs.get(name)))
        .collect();
    assert!(
        differ.is_empty(),
        "{} differences to {whose}:\n{}",
        differ.len(),
        differ[..differ.len().min(10)].join("\n")
    );
}

/// The same without the times of directories, which GNU tar changes as it puts
/// names into them.
pub fn without_directory_times(tree: &Tree) -> Tree {
    let mut tree = tree.clone();
    for what in tree.values_mut().filter(|what| what["kind"] == "0o40000") {
        what.as_object_mut().unwrap().remove("mtime");
    }
    tree
}

/// Both without the times of directories that no layer has: umoci dates those,
/// and the ones around them, when it makes them. `start` is before that.
pub fn without_times_since(start: SystemTime, ours: &Tree, theirs: &Tree) -> (Tree, Tree) {
    let start = start.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let (mut ours, mut theirs) = (ours.clone(), theirs.clone());
    for (name, what) in &mut theirs {
        if what["kind"] == "0o40000" && what["mtime"].as_u64() >= Some(start) {
            for what in [Some(what), ours.get_mut(name)].into_iter().flatten() {
                what.as_object_mut().unwrap().remove("mtime");
            }
        }
    }
    (ours, theirs)
}
