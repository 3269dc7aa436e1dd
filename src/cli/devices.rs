//! `--device` and `--mount type=block`: disks of this host for a container.

use std::fs;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};

use super::failure::Hint;
use crate::container::devices::Device;

/// What every refusal says.
const FORM: &str = "a disk is given as /dev/vg/lv:/dev/xvdc or disk.img:/dev/xvdc:r";

/// `SOURCE:/dev/xvdX[:r|rw|rwm]`.
pub fn device(text: &str) -> Result<Device, String> {
    let parts: Vec<&str> = text.split(':').collect();
    let (source, path, permissions) = match parts[..] {
        [source, path] => (source, path, "rwm"),
        [source, path, permissions] => (source, path, permissions),
        [_] => return Err(format!("it has to have a name in the guest: {FORM}")),
        _ => return Err(format!("it has more than three parts: {FORM}")),
    };
    // The guest can make nodes of what it has, so that m changes nothing.
    let read_only = match permissions {
        "r" | "rm" => true,
        "rw" | "rwm" => false,
        _ => return Err(format!("no permissions {permissions:?}: there are r and rw")),
    };
    disk(source, path, read_only)
}

/// The disk `source` as `path` in the guest.
pub fn disk(source: &str, path: &str, read_only: bool) -> Result<Device, String> {
    if source.is_empty() {
        return Err(format!("no device or file is named: {FORM}"));
    }
    let letter = path.strip_prefix("/dev/xvd").filter(|rest| rest.len() == 1);
    match letter.map(str::as_bytes) {
        Some([b'c'..=b'z']) => {}
        Some([b'a' | b'b']) => {
            return Err(format!("{path} is the container's own: take /dev/xvdc to /dev/xvdz"));
        }
        _ => return Err(format!("{path:?} is none of /dev/xvdc to /dev/xvdz: {FORM}")),
    }
    let vdev = path.trim_start_matches("/dev/").to_owned();
    Ok(Device { source: PathBuf::from(source), vdev, read_only })
}

/// Sees that the devices are there, and can be disks.
pub fn devices(mut devices: Vec<Device>) -> anyhow::Result<Vec<Device>> {
    for (n, device) in devices.iter().enumerate() {
        if devices[..n].iter().any(|other| other.vdev == device.vdev) {
            bail!("two devices are called {}", device.path());
        }
    }
    for device in &mut devices {
        device.source = std::path::absolute(&device.source)?;
        check(&device.source)?;
    }
    Ok(devices)
}

fn check(source: &Path) -> anyhow::Result<()> {
    let shown = source.display();
    let meta = fs::metadata(source).with_context(|| format!("cannot give the device {shown}"))?;
    if meta.is_file() || meta.file_type().is_block_device() {
        return Ok(());
    }
    let hint = "a DomU has a kernel of its own: only disks reach it; `-v` shares directories";
    let error = anyhow!("cannot give {shown}: it is neither a block device nor an image file");
    Err(error.context(Hint(hint.to_owned())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_has_a_source_a_name_and_permissions() {
        let made = |source: &str, vdev: &str, read_only| {
            Ok(Device { source: source.into(), vdev: vdev.into(), read_only })
        };
        assert_eq!(device("/dev/vg/lv:/dev/xvdc"), made("/dev/vg/lv", "xvdc", false));
        assert_eq!(device("disk.img:/dev/xvdz:r"), made("disk.img", "xvdz", true));
        assert_eq!(device("/dev/sdb:/dev/xvdd:rwm"), made("/dev/sdb", "xvdd", false));
        for (text, why) in [
            ("/dev/fuse", "a name in the guest"),
            ("/dev/sdb:/dev/sdb", "none of /dev/xvdc"),
            ("/dev/sdb:/dev/xvda", "the container's own"),
            ("/dev/sdb:/dev/xvdaa", "none of /dev/xvdc"),
            ("/dev/sdb:/dev/xvdc:w", "no permissions"),
            (":/dev/xvdc", "no device or file"),
            ("a:b:c:d", "more than three"),
        ] {
            let error = device(text).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
    }

    #[test]
    fn what_is_no_disk_is_refused_and_so_is_a_name_twice() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("disk.img");
        fs::write(&file, "").unwrap();
        let of = |path: &Path| device(&format!("{}:/dev/xvdc", path.display())).unwrap();
        assert_eq!(devices(vec![of(&file)]).unwrap()[0].source, file);
        let error = |list| format!("{:?}", devices(list).unwrap_err());
        assert!(error(vec![of(&file), of(&file)]).contains("two devices are called /dev/xvdc"));
        for path in ["/dev/null", "/"] {
            assert!(error(vec![of(Path::new(path))]).contains("neither a block device"), "{path}");
        }
        assert!(error(vec![of(&dir.path().join("none"))]).contains("cannot give the device"));
    }
}
