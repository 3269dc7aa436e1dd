//! Where each surviving entry goes.

type Name = Box<[u8]>;

/// Counts inodes from 0, in the order of layers and entries.
pub type InodeId = u32;

/// The names of all inodes of the merged tree.
pub struct Paths {
    /// Layer and entry of each inode, ascending.
    at: Vec<(u32, u32)>,
    /// The name under which each inode is written; `None` when no name is left.
    names: Vec<Option<Name>>,
    /// All further names, in the order in which they came.
    links: Vec<(Name, InodeId)>,
}

impl Paths {
    /// Inodes, given by layer and entry in ascending order, without names yet.
    pub fn new(inodes: impl Iterator<Item = (u32, u32)>) -> Paths {
        let at: Vec<_> = inodes.collect();
        let names = at.iter().map(|_| None).collect();
        Paths { at, names, links: Vec::new() }
    }

    /// Names an inode, or names it once more.
    pub fn add(&mut self, inode: InodeId, path: &[u8]) {
        match &mut self.names[inode as usize] {
            Some(_) => self.links.push((path.into(), inode)),
            unnamed => *unnamed = Some(path.into()),
        }
    }

    /// Whether anything of the layer survives, directories aside.
    pub fn needs(&self, layer: usize) -> bool {
        self.at.iter().zip(&self.names).any(|(at, name)| at.0 as usize == layer && name.is_some())
    }

    /// The path of an entry, if it survives.
    pub fn path(&self, layer: usize, entry: u32) -> Option<&[u8]> {
        let inode = self.at.binary_search(&(layer as u32, entry)).ok()?;
        self.names[inode].as_deref()
    }

    /// Each further name and the one that was written.
    pub fn links(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.links.iter().filter_map(|(name, inode)| {
            Some((name.as_ref(), self.names[*inode as usize].as_deref()?))
        })
    }
}
