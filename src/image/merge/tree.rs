//! Which entry of which layer each path of the merged tree comes from.

use std::collections::btree_map::Entry as Slot;
use std::collections::{BTreeMap, BTreeSet};
use std::io;

use super::header::Kind;
use super::paths::{InodeId, Paths};
use super::read::{Entry, Meta};
use super::write::Writer;
use super::{Limits, Refusal};

/// Linux's limits, in bytes: a component and a whole path or link target.
const MAX_NAME: usize = 255;
const MAX_PATH: usize = 4095;
/// Directories in directories.
const MAX_DEPTH: usize = 512;
/// Symbolic links in one name, as in Linux.
const MAX_FOLLOWS: usize = 40;

const WHITEOUT: &[u8] = b".wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";

type Name = Box<[u8]>;

/// Where an inode's data and attributes are. Inodes are numbered in the order
/// of layers and entries.
struct Inode {
    layer: u32,
    entry: u32,
    /// A symbolic link's target.
    target: Option<Name>,
}

enum Node {
    Directory(Box<Directory>),
    /// Anything else. Hard links share an inode.
    Leaf(InodeId),
}

#[derive(Default)]
struct Directory {
    /// `None` for one that is only implied by the names in it.
    meta: Option<Meta>,
    children: BTreeMap<Name, Node>,
    /// Names of lower layers that end here.
    whiteouts: BTreeSet<Name>,
    /// Whether all names of lower layers end here.
    opaque: bool,
}

impl Directory {
    /// Whether nothing is in it but whiteouts, so that it need not exist.
    fn is_ghost(&self) -> bool {
        self.meta.is_none()
            && self.children.values().all(|node| match node {
                Node::Directory(directory) => directory.is_ghost(),
                Node::Leaf(_) => false,
            })
    }

    /// Lays `upper`, one layer's directory, over this one.
    fn overlay(&mut self, upper: Directory) {
        if upper.opaque {
            self.children.clear();
        }
        for name in &upper.whiteouts {
            self.children.remove(name);
        }
        self.meta = upper.meta.or(self.meta.take());
        for (name, node) in upper.children {
            let Node::Directory(upper) = node else {
                self.children.insert(name, node);
                continue;
            };
            match self.children.entry(name) {
                Slot::Occupied(mut slot) => match slot.get_mut() {
                    Node::Directory(lower) => lower.overlay(*upper),
                    Node::Leaf(_) if upper.is_ghost() => {}
                    leaf => *leaf = upper.alone(),
                },
                Slot::Vacant(slot) => {
                    if !upper.is_ghost() {
                        slot.insert(upper.alone());
                    }
                }
            }
        }
    }

    /// As it is with nothing below it.
    fn alone(self) -> Node {
        let mut merged = Directory::default();
        merged.overlay(self);
        Node::Directory(Box::new(merged))
    }
}

/// Counts what is kept in memory.
struct Budget {
    limits: Limits,
    entries: u64,
    names: u64,
}

impl Budget {
    fn spend(&mut self, bytes: usize) -> Result<(), Refusal> {
        self.entries += 1;
        self.names += bytes as u64;
        if self.entries > self.limits.entries {
            return Err(Refusal::Limit { what: "entries", limit: self.limits.entries });
        }
        if self.names > self.limits.names {
            return Err(Refusal::Limit { what: "bytes of names", limit: self.limits.names });
        }
        Ok(())
    }
}

/// The merged tree in the making.
pub struct Merger {
    budget: Budget,
    inodes: Vec<Inode>,
    /// All layers that are done.
    merged: Directory,
    /// The current layer by itself, and its index.
    current: Directory,
    layer: u32,
    newest: u32,
}

impl Merger {
    pub fn new(limits: Limits) -> Merger {
        Merger {
            budget: Budget { limits, entries: 0, names: 0 },
            inodes: Vec::new(),
            merged: Directory::default(),
            current: Directory::default(),
            layer: 0,
            newest: 0,
        }
    }

    pub fn limits(&self) -> &Limits {
        &self.budget.limits
    }

    /// The latest time of any entry so far.
    pub fn newest(&self) -> u32 {
        self.newest
    }

    /// Starts a layer.
    pub fn begin(&mut self, layer: usize) {
        self.layer = layer as u32;
    }

    /// Lays the layer over the lower ones.
    pub fn end(&mut self) {
        self.merged.overlay(std::mem::take(&mut self.current));
    }

    /// Takes note of the layer's next entry.
    pub fn add(&mut self, entry: &Entry) -> Result<(), Refusal> {
        self.newest = self.newest.max(entry.meta.mtime);
        let path = components(&entry.path)?;
        let Some((name, parents)) = path.split_last() else {
            // The root's own attributes are not the image's to choose.
            let root = entry.kind == Kind::Directory;
            return if root { Ok(()) } else { Err(Refusal::RootNotDirectory) };
        };
        // aufs kept its books in the layers of old; nothing real is named so.
        if path.iter().any(|name| name.starts_with(b".wh..wh.") && *name != OPAQUE) {
            return Ok(());
        }
        if parents.iter().any(|name| name.starts_with(WHITEOUT)) {
            return Err(Refusal::Whiteout);
        }
        if *name == OPAQUE {
            self.directory(parents, name)?.opaque = true;
            return Ok(());
        }
        if let Some(hidden) = name.strip_prefix(WHITEOUT) {
            if matches!(hidden, b"" | b"." | b"..") {
                return Err(Refusal::Whiteout);
            }
            self.directory(parents, name)?.whiteouts.insert(hidden.into());
            return Ok(());
        }
        self.place(parents, name, entry)
    }

    fn place(&mut self, parents: &[&[u8]], name: &[u8], entry: &Entry) -> Result<(), Refusal> {
        let leaf = match &entry.kind {
            Kind::Directory => {
                let kept = entry.meta.xattrs.iter().map(|(name, value)| name.len() + value.len());
                self.budget.spend(kept.sum())?;
                let slot = self.directory(parents, name)?.children.entry(name.into());
                let node = slot.or_insert_with(|| Node::Directory(Box::default()));
                if let Node::Leaf(_) = node {
                    *node = Node::Directory(Box::default());
                }
                if let Node::Directory(directory) = node {
                    directory.meta = Some(entry.meta.clone());
                }
                return Ok(());
            }
            Kind::HardLink(target) => self.find(target)?,
            Kind::Symlink(target) => {
                if target.is_empty() {
                    return Err(Refusal::EmptyTarget);
                }
                if target.len() > MAX_PATH {
                    return Err(Refusal::PathTooLong);
                }
                self.inode(entry.number, Some(target.as_slice().into()))?
            }
            _ => self.inode(entry.number, None)?,
        };
        self.directory(parents, name)?.children.insert(name.into(), Node::Leaf(leaf));
        Ok(())
    }

    fn inode(&mut self, entry: u32, target: Option<Name>) -> Result<InodeId, Refusal> {
        self.budget.spend(target.as_ref().map_or(0, |target| target.len()))?;
        self.inodes.push(Inode { layer: self.layer, entry, target });
        Ok(self.inodes.len() as InodeId - 1)
    }

    /// The layer's directory that `name` is to stand in, made if need be.
    fn directory(&mut self, parents: &[&[u8]], name: &[u8]) -> Result<&mut Directory, Refusal> {
        let path = follow(&self.current, &self.inodes, parents)?;
        let length: usize = path.iter().map(|name| name.len() + 1).sum();
        if length + name.len() > MAX_PATH {
            return Err(Refusal::PathTooLong);
        }
        self.budget.spend(name.len())?;
        let mut here = &mut self.current;
        for name in path {
            let node = match here.children.entry(name) {
                Slot::Occupied(slot) => slot.into_mut(),
                Slot::Vacant(slot) => {
                    self.budget.spend(slot.key().len())?;
                    slot.insert(Node::Directory(Box::default()))
                }
            };
            let Node::Directory(next) = node else { return Err(Refusal::ParentNotDirectory) };
            here = next;
        }
        Ok(here)
    }

    /// The inode that a hard link means, of this layer or the lower ones.
    fn find(&self, target: &[u8]) -> Result<InodeId, Refusal> {
        let path = components(target)?;
        let (name, parents) = path.split_last().ok_or(Refusal::LinkToDirectory)?;
        for tree in [&self.current, &self.merged] {
            match lookup(tree, &self.inodes, parents, name) {
                Some(Node::Leaf(inode)) => return Ok(*inode),
                Some(Node::Directory(_)) => return Err(Refusal::LinkToDirectory),
                None => {}
            }
        }
        Err(Refusal::LinkTargetMissing)
    }

    /// Writes all directories, in order, and tells where everything else goes.
    pub fn finish(self, writer: &mut Writer) -> io::Result<Paths> {
        let mut paths = Paths::new(self.inodes.iter().map(|inode| (inode.layer, inode.entry)));
        drop(self.inodes);
        collect(&self.merged, &mut Vec::new(), writer, &mut paths)?;
        Ok(paths)
    }
}

fn collect(
    from: &Directory,
    path: &mut Vec<u8>,
    out: &mut Writer,
    paths: &mut Paths,
) -> io::Result<()> {
    let length = path.len();
    for (name, node) in &from.children {
        if length > 0 {
            path.push(b'/');
        }
        path.extend_from_slice(name);
        match node {
            Node::Directory(directory) => {
                out.directory(path, directory.meta.as_ref())?;
                collect(directory, path, out, paths)?;
            }
            Node::Leaf(inode) => paths.add(*inode, path),
        }
        path.truncate(length);
    }
    Ok(())
}

/// Splits a name as an archive spells it; leading, doubled and trailing slashes
/// and `.` mean nothing.
fn components(path: &[u8]) -> Result<Vec<&[u8]>, Refusal> {
    let names: Vec<&[u8]> = split(path).collect();
    if names.contains(&&b".."[..]) {
        return Err(Refusal::Escapes);
    }
    if names.iter().any(|name| name.len() > MAX_NAME) {
        return Err(Refusal::NameTooLong);
    }
    if path.len() > MAX_PATH || names.len() > MAX_DEPTH {
        return Err(Refusal::PathTooLong);
    }
    Ok(names)
}

fn split(path: &[u8]) -> impl DoubleEndedIterator<Item = &[u8]> {
    path.split(|&b| b == b'/').filter(|name| !matches!(*name, b"" | b"."))
}

/// Follows the symbolic links in `path`, each `..` of theirs no higher than the
/// root. What does not exist is taken for a directory.
fn follow(root: &Directory, inodes: &[Inode], path: &[&[u8]]) -> Result<Vec<Name>, Refusal> {
    let mut ahead: Vec<Name> = path.iter().rev().map(|name| Name::from(*name)).collect();
    let mut behind: Vec<(Name, Option<&Directory>)> = Vec::new();
    let mut follows = 0;
    while let Some(name) = ahead.pop() {
        if *name == *b".." {
            behind.pop();
            continue;
        }
        let here = behind.last().map_or(Some(root), |(_, directory)| *directory);
        match here.and_then(|directory| directory.children.get(&name)) {
            Some(Node::Leaf(inode)) => {
                let target = inodes[*inode as usize].target.as_deref();
                let target = target.ok_or(Refusal::ParentNotDirectory)?;
                follows += 1;
                if follows > MAX_FOLLOWS {
                    return Err(Refusal::Loop);
                }
                if target.starts_with(b"/") {
                    behind.clear();
                }
                ahead.extend(split(target).rev().map(Name::from));
            }
            Some(Node::Directory(directory)) => behind.push((name, Some(directory))),
            None if name.len() > MAX_NAME => return Err(Refusal::NameTooLong),
            None => behind.push((name, None)),
        }
        if behind.len() >= MAX_DEPTH {
            return Err(Refusal::PathTooLong);
        }
    }
    Ok(behind.into_iter().map(|(name, _)| name).collect())
}

fn lookup<'a>(
    root: &'a Directory,
    inodes: &[Inode],
    parents: &[&[u8]],
    name: &[u8],
) -> Option<&'a Node> {
    let mut here = root;
    for name in follow(root, inodes, parents).ok()? {
        let Node::Directory(next) = here.children.get(&name)? else { return None };
        here = next;
    }
    here.children.get(name)
}
