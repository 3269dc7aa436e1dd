//! Disks that the container itself has: their nodes in its `/dev`.

use std::{
    fs,
    os::unix::fs::{FileTypeExt, MetadataExt},
    path::Path,
};

use libcontainer::oci_spec::{
    OciSpecError,
    runtime::{LinuxDevice, LinuxDeviceBuilder, LinuxDeviceType},
};
use nix::sys::stat::{major, minor};

use crate::{Error, Result, error::Context};

/// Owner and group may use it, as udev has it.
const MODE: u32 = 0o660;

/// The nodes of the guest's block devices with these names.
///
/// # Errors
/// The kernel's, and a name that is no block device's.
pub fn nodes(names: &[String]) -> Result<Vec<LinuxDevice>> {
    names.iter().map(|name| node(name)).collect()
}

fn node(name: &str) -> Result<LinuxDevice> {
    let path = Path::new("/dev").join(name);
    let shown = path.display();
    let meta = fs::metadata(&path).context(format_args!("examine {shown}"))?;
    if !meta.file_type().is_block_device() {
        return Err(Error::Other(format!("{shown} is no block device")));
    }
    let built = built(&path, meta.rdev());
    built.map_err(|error| Error::Other(format!("cannot describe {shown}: {error}")))
}

fn built(path: &Path, device: u64) -> std::result::Result<LinuxDevice, OciSpecError> {
    LinuxDeviceBuilder::default()
        .path(path)
        .typ(LinuxDeviceType::B)
        .major(i64::try_from(major(device)).unwrap_or_default())
        .minor(i64::try_from(minor(device)).unwrap_or_default())
        .file_mode(MODE)
        .uid(0_u32)
        .gid(0_u32)
        .build()
}

#[cfg(test)]
mod tests {
    use nix::sys::stat::makedev;

    use super::*;

    #[test]
    fn a_node_is_the_kernels_device() {
        let node = built(Path::new("/dev/xvdc"), makedev(202, 32)).unwrap();
        assert_eq!((node.major(), node.minor(), node.typ()), (202, 32, LinuxDeviceType::B));
        assert_eq!(node.path(), Path::new("/dev/xvdc"));
    }

    #[test]
    fn what_is_no_disk_is_refused() {
        assert_eq!(
            nodes(&["null".into()]).unwrap_err().to_string(),
            "/dev/null is no block device"
        );
        assert!(nodes(&["none".into()]).unwrap_err().to_string().contains("examine /dev/none"));
    }
}
