//! What a process has written to its root, written to a directory of this host: a bundle's
//! root, of which its caller makes diffs and images, and the next container.
//!
//! It comes from the guest as the layer of an image. A guest is hostile: nothing leaves the
//! directory ([`vxn_files`]), and there is a bound to it. What files are like inside is the
//! container's own affair, as it is with any runtime: owners, set-user-ID, and device nodes
//! if its processes may make them.

use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use vxn_files::{Options, Root, unpack_layer};
use vxn_proto::Privileges;

use super::failure_log::FailureLog;

/// Most files and directories. An ext4 of ten gigabytes has room for 655360 inodes, of
/// which each may have several names.
const MAX_ENTRIES: u64 = 4_000_000;

/// Most bytes behind the end of an archive: what fills its last record.
const MAX_PADDING: u64 = 1 << 20;

/// Where it is written to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WriteBack {
    /// The directory.
    pub root: PathBuf,
    /// Which directory that is: what was mounted there may have been unmounted.
    identity: (u64, u64),
    /// Device nodes may be made: the processes have the right to.
    devices: bool,
    /// Who is told that it failed, besides whoever reads stderr.
    pub failures: Option<FailureLog>,
}

/// Why not all was written back.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Another directory has its place.
    #[error("the directory is another one than when the container was created")]
    Another,
    /// The directory, the archive, or what is in it.
    #[error(transparent)]
    Files(#[from] vxn_files::Error),
    /// The system.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl WriteBack {
    /// To the directory `root`, of a container whose processes may do what `privileges` say.
    ///
    /// # Errors
    /// There is no such directory.
    pub fn to(
        root: &Path,
        privileges: &Privileges,
        failures: Option<FailureLog>,
    ) -> io::Result<WriteBack> {
        let makes = |list: &[String]| list.iter().any(|name| name == "CAP_MKNOD" || name == "ALL");
        let devices = privileges.privileged || makes(&privileges.cap_add);
        Ok(WriteBack { root: root.to_owned(), identity: identity(root)?, devices, failures })
    }

    /// Writes a layer of at most so many bytes. Returns how many entries it had.
    ///
    /// # Errors
    /// [`Error`]; what came before it is written.
    pub fn apply(&self, bytes: u64, layer: &mut dyn Read) -> Result<u64, Error> {
        if identity(&self.root)? != self.identity {
            return Err(Error::Another);
        }
        let root = Root::open(&self.root)?;
        let options = Options { owner: None, devices: self.devices, bytes, entries: MAX_ENTRIES };
        let count = unpack_layer(&root, &options, layer)?;
        let rest = io::copy(&mut layer.take(MAX_PADDING), &mut io::sink())?;
        if rest == MAX_PADDING {
            return Err(io::Error::other("the archive does not end").into());
        }
        Ok(count)
    }
}

/// Device and inode, after all links.
fn identity(path: &Path) -> io::Result<(u64, u64)> {
    let meta = fs::metadata(path)?;
    Ok((meta.dev(), meta.ino()))
}

#[cfg(test)]
mod tests {
    use vxn_files::Packer;

    use super::*;

    fn layer() -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut packer = Packer::new(&mut bytes);
        packer.empty(Path::new("etc/.wh.motd")).unwrap();
        packer.finish().unwrap();
        bytes
    }

    #[test]
    fn only_the_directory_that_it_was_is_written_to() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("root");
        fs::create_dir_all(root.join("etc")).unwrap();
        fs::write(root.join("etc/motd"), "").unwrap();
        let back = WriteBack::to(&root, &Privileges::default(), None).unwrap();
        let bytes = layer();
        assert_eq!(back.apply(1 << 20, &mut &*bytes).unwrap(), 1);
        assert!(!root.join("etc/motd").exists());
        fs::rename(&root, dir.path().join("old")).unwrap();
        assert!(matches!(back.apply(1 << 20, &mut &*bytes), Err(Error::Io(_))));
        fs::create_dir(&root).unwrap();
        assert!(matches!(back.apply(1 << 20, &mut &*bytes), Err(Error::Another)));
    }

    #[test]
    fn what_does_not_end_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let back = WriteBack::to(dir.path(), &Privileges::default(), None).unwrap();
        let bytes = [layer(), vec![0; 2 << 20]].concat();
        let error = back.apply(1 << 20, &mut &*bytes).unwrap_err().to_string();
        assert!(error.contains("does not end"), "{error}");
    }

    #[test]
    fn who_may_make_devices_has_them_written_back() {
        let of = |names: &[&str]| {
            let cap_add = names.iter().map(ToString::to_string).collect();
            let privileges = Privileges { cap_add, ..Privileges::default() };
            WriteBack::to(Path::new("/"), &privileges, None).unwrap().devices
        };
        assert!(of(&["CAP_CHOWN", "CAP_MKNOD"]) && !of(&["CAP_CHOWN"]));
    }
}
