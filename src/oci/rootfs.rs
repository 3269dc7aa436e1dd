//! The root disk of a bundle: its root file system as one read-only SquashFS image.
//!
//! It is the container's own, made when the container is created: whatever the bundle's
//! directory is later is nothing to a DomU that runs.

use std::path::Path;

use super::{Error, Result};
use crate::tool::{self, MKSQUASHFS};

/// Memory for the queues of `mksquashfs`: its default, a quarter of the machine's, is not
/// ours to take from a small Dom0.
const MEMORY: &str = "64M";

/// Writes an image of the directory `rootfs` to `disk`, a new file.
///
/// # Errors
/// [`Error::Disk`] with the tool's words.
pub fn make(rootfs: &Path, disk: &Path) -> Result<()> {
    let failed = |source| Error::Disk { rootfs: rootfs.to_owned(), source };
    let make = || -> std::result::Result<(), tool::Error> {
        let mut command = MKSQUASHFS.command()?;
        command.arg(rootfs).arg(disk);
        command.args(["-comp", "lz4", "-noappend", "-quiet", "-no-progress", "-exit-on-error"]);
        command.args(["-mem", MEMORY]);
        MKSQUASHFS.start(&mut command)?.wait().map(drop)
    };
    make().map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_becomes_a_disk_and_a_missing_one_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let (tree, disk) = (dir.path().join("tree"), dir.path().join("disk"));
        std::fs::create_dir_all(tree.join("a/b")).unwrap();
        make(&tree, &disk).unwrap();
        assert_eq!(std::fs::read(&disk).unwrap()[..4], *b"hsqs");
        let error = make(&dir.path().join("none"), &dir.path().join("x")).unwrap_err();
        assert!(error.to_string().contains("none"), "{error}");
    }
}
