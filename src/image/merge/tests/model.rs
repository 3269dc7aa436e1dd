//! Generated stacks of layers against a model that knows no trees, only names.

use std::collections::{BTreeMap, BTreeSet};

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;

/// One entry of a layer.
#[derive(Debug, Clone)]
enum Op {
    File(String),
    Directory(String, u32),
    Symlink(String),
    /// The name, and which of the layer's files so far is linked.
    HardLink(String, usize),
    Whiteout(String),
    Opaque(String),
}

fn name() -> impl Strategy<Value = String> {
    vec(select(&["a", "b", "c"][..]), 1..4).prop_map(|names| names.join("/"))
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => name().prop_map(Op::File),
        3 => (name(), 0..0o10000u32).prop_map(|(name, mode)| Op::Directory(name, mode)),
        1 => name().prop_map(Op::Symlink),
        2 => (name(), any::<usize>()).prop_map(|(name, which)| Op::HardLink(name, which)),
        2 => name().prop_map(Op::Whiteout),
        1 => name().prop_map(Op::Opaque),
    ]
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Thing {
    /// Its mode, if it has an entry of its own.
    Directory(Option<u32>),
    /// Which of all files and links ever made this is.
    Inode(usize),
}

type Tree = BTreeMap<String, Thing>;

/// A stack of layers, as archives and as the tree they should make.
#[derive(Default)]
struct Stack {
    archives: Vec<Vec<u8>>,
    tree: Tree,
    /// What each inode holds.
    inodes: Vec<Found>,
}

#[derive(Default)]
struct Layer {
    tree: Tree,
    whiteouts: BTreeSet<String>,
    opaque: BTreeSet<String>,
}

fn parents(name: &str) -> impl Iterator<Item = String> + '_ {
    name.match_indices('/').map(|(slash, _)| name[..slash].to_owned())
}

fn remove(tree: &mut Tree, name: &str) {
    tree.remove(name);
    tree.retain(|other, _| !other.starts_with(&format!("{name}/")));
}

impl Layer {
    /// Whether all that `name` stands in are directories, or can be made.
    fn fits(&self, name: &str) -> bool {
        parents(name).all(|p| !matches!(self.tree.get(&p), Some(Thing::Inode(_))))
    }

    fn imply(&mut self, name: &str) {
        for parent in parents(name) {
            self.tree.entry(parent).or_insert(Thing::Directory(None));
        }
    }

    fn place(&mut self, name: &str, inode: usize) {
        remove(&mut self.tree, name);
        // What hid things below the directory that was here goes with it.
        let inside = format!("{name}/");
        self.whiteouts.retain(|other| !other.starts_with(&inside));
        self.opaque.retain(|other| other != name && !other.starts_with(&inside));
        self.imply(name);
        self.tree.insert(name.to_owned(), Thing::Inode(inode));
    }

    fn is_ghost(&self, name: &str) -> bool {
        self.tree.get(name) == Some(&Thing::Directory(None))
            && !self.tree.iter().any(|(other, thing)| {
                other.starts_with(&format!("{name}/")) && *thing != Thing::Directory(None)
            })
    }
}

impl Stack {
    fn push(&mut self, ops: &[Op]) {
        let mut layer = Layer::default();
        let mut archive = Archive::new();
        for op in ops {
            archive = self.apply(op, &mut layer, archive);
        }
        self.archives.push(archive.end());
        self.lay(&layer);
    }

    fn inode(&mut self, kind: EntryType, content: &[u8]) -> usize {
        self.inodes.push(Found { kind, mode: 0o644, content: content.to_vec() });
        self.inodes.len() - 1
    }

    /// Adds the entry, unless the merger would be right to refuse it.
    fn apply(&mut self, op: &Op, layer: &mut Layer, archive: Archive) -> Archive {
        match op {
            Op::File(name) if layer.fits(name) => {
                let data = format!("file {}", self.inodes.len());
                let inode = self.inode(EntryType::Regular, data.as_bytes());
                layer.place(name, inode);
                archive.file(name, &data)
            }
            Op::Symlink(name) if layer.fits(name) => {
                let target = format!("target/{}", self.inodes.len());
                let inode = self.inode(EntryType::Symlink, target.as_bytes());
                layer.place(name, inode);
                archive.symlink(name, &target)
            }
            Op::Directory(name, mode) if layer.fits(name) => {
                if matches!(layer.tree.get(name), Some(Thing::Inode(_))) {
                    layer.tree.remove(name);
                }
                layer.imply(name);
                layer.tree.insert(name.clone(), Thing::Directory(Some(*mode)));
                let mut header = Archive::header(b'5', name.as_bytes(), 0);
                header.set_mode(*mode);
                archive.raw(header, b"")
            }
            Op::HardLink(name, which) if layer.fits(name) => {
                let files = self.files(layer);
                let Some(at) = which.checked_rem(files.len()) else { return archive };
                let (target, inode) = &files[at];
                layer.place(name, *inode);
                archive.hard_link(name, target)
            }
            Op::Whiteout(name) if layer.fits(name) => {
                layer.imply(name);
                layer.whiteouts.insert(name.clone());
                let (dir, last) = name.rsplit_once('/').unwrap_or((".", name));
                archive.file(&format!("{dir}/.wh.{last}"), "")
            }
            Op::Opaque(name) if layer.fits(&format!("{name}/x")) => {
                layer.imply(&format!("{name}/x"));
                layer.opaque.insert(name.clone());
                archive.file(&format!("{name}/.wh..wh..opq"), "")
            }
            _ => archive,
        }
    }

    /// What a hard link can name: files of the layer, and lower ones where the
    /// layer has nothing.
    fn files(&self, layer: &Layer) -> Vec<(String, usize)> {
        let mut seen = layer.tree.clone();
        for (lower, thing) in self.tree.iter().filter(|(name, _)| layer.fits(name)) {
            seen.entry(lower.clone()).or_insert(thing.clone());
        }
        let inode = |thing| if let Thing::Inode(inode) = thing { Some(inode) } else { None };
        seen.into_iter().filter_map(|(name, thing)| Some((name, inode(thing)?))).collect()
    }

    /// Lays a layer over the tree.
    fn lay(&mut self, layer: &Layer) {
        let is_directory = |name: &str| matches!(layer.tree.get(name), Some(Thing::Directory(_)));
        // A whiteout or mark goes with the directory that it stands in.
        let stands = |name: &str| parents(name).all(|p| is_directory(&p));
        for name in layer.opaque.iter().filter(|n| stands(n) && is_directory(n)) {
            self.tree.retain(|other, _| !other.starts_with(&format!("{name}/")));
        }
        for name in layer.whiteouts.iter().filter(|n| stands(n)) {
            remove(&mut self.tree, name);
        }
        for (name, thing) in &layer.tree {
            match (self.tree.get(name), thing) {
                _ if parents(name).any(|p| layer.is_ghost(&p)) || layer.is_ghost(name) => {}
                (Some(Thing::Directory(_)), Thing::Directory(None)) => {}
                (Some(Thing::Directory(_)), Thing::Directory(_)) => {
                    self.tree.insert(name.clone(), thing.clone());
                }
                _ => {
                    remove(&mut self.tree, name);
                    self.tree.insert(name.clone(), thing.clone());
                }
            }
        }
    }

    /// What a reader of the merged archive should find: the first name of an
    /// inode has it all, further names are links to the first.
    fn expected(&self) -> BTreeMap<Vec<u8>, Found> {
        let mut first: BTreeMap<usize, &str> = BTreeMap::new();
        let mut expected = BTreeMap::new();
        for (name, thing) in sorted_by_component(&self.tree) {
            let found = match thing {
                Thing::Directory(mode) => Found {
                    kind: EntryType::Directory,
                    mode: mode.unwrap_or(0o755),
                    content: Vec::new(),
                },
                Thing::Inode(inode) => match first.get(inode) {
                    Some(primary) => Found {
                        kind: EntryType::Link,
                        mode: 0,
                        content: primary.as_bytes().to_vec(),
                    },
                    None => {
                        first.insert(*inode, name);
                        self.inodes[*inode].clone()
                    }
                },
            };
            expected.insert(name.as_bytes().to_vec(), found);
        }
        expected
    }
}

fn sorted_by_component(tree: &Tree) -> Vec<(&String, &Thing)> {
    let mut all: Vec<_> = tree.iter().collect();
    all.sort_by_key(|(name, _)| name.split('/').map(str::to_owned).collect::<Vec<_>>());
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn merging_is_what_the_model_says(layers in vec(vec(op(), 0..12), 0..5)) {
        let mut stack = Stack::default();
        for layer in &layers {
            stack.push(layer);
        }
        let archive = merged(&stack.archives).unwrap();
        prop_assert_eq!(contents(&archive), stack.expected());
        prop_assert_eq!(merged(from_ref(&archive)).unwrap(), archive);
    }

    #[test]
    fn any_bytes_are_safe(layers in vec(vec(any::<u8>(), 0..2000), 0..3)) {
        let _ = merged(&layers);
    }

    #[test]
    fn damaged_archives_are_safe(
        ops in vec(op(), 1..8),
        damage in vec((any::<usize>(), any::<u8>()), 1..8),
    ) {
        let mut stack = Stack::default();
        stack.push(&ops);
        let mut archive = stack.archives.remove(0);
        for (at, byte) in damage {
            // The checksum would stop most damage at the door: mend it.
            let at = at % archive.len();
            archive[at] = byte;
            let block = at / 512 * 512;
            if archive[block] != 0 {
                let mut header = Header::from_byte_slice(&archive[block..block + 512]).clone();
                header.set_cksum();
                archive[block..block + 512].copy_from_slice(header.as_bytes());
            }
        }
        if let Ok(merged_once) = merged(&[archive]) {
            prop_assert_eq!(merged(from_ref(&merged_once)).unwrap(), merged_once);
        }
    }
}
