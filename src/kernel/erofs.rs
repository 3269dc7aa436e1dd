//! Whether a guest can mount the EROFS disks that we make: from its initramfs, which
//! brings the module, and from its kernel's configuration. No guest is started for it.

use std::fs::{self, File};
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};

use super::format;
use super::initramfs;

/// What only a module that reads compressed disks has in it
/// (`CONFIG_EROFS_FS_ZIP`): the prefix of that half of its source.
const COMPRESSED: &[u8] = b"z_erofs";

/// Whether a guest of this kernel and this initramfs mounts compressed EROFS. `None`
/// if neither tells: an initramfs that is not ours, a kernel whose configuration is
/// not on this host.
pub fn mounts_erofs(kernel: &Path, initramfs: &Path) -> Option<bool> {
    match module(initramfs) {
        Ok(Some(module)) => Some(contains(&module, COMPRESSED)),
        // What is no module is built in, or not there.
        Ok(None) => built_in(kernel),
        Err(e) => {
            tracing::debug!("{}: {e}", initramfs.display());
            built_in(kernel).filter(|there| *there)
        }
    }
}

/// The module in the initramfs.
fn module(initramfs: &Path) -> io::Result<Option<Vec<u8>>> {
    initramfs::file(&mut BufReader::new(File::open(initramfs)?), "modules/erofs.ko")
}

/// What the kernel's configuration says, where distributions keep it.
fn built_in(kernel: &Path) -> Option<bool> {
    let kernel = kernel.canonicalize().ok()?;
    let release = release(&kernel)?;
    let beside = kernel.with_file_name(format!("config-{release}"));
    let modules = Path::new("/lib/modules").join(&release).join("config");
    let boot = PathBuf::from(format!("/boot/config-{release}"));
    let config = [beside, modules, boot].iter().find_map(|path| fs::read_to_string(path).ok())?;
    Some(enabled(&config))
}

/// Whether a kernel's configuration has all of it built in.
fn enabled(config: &str) -> bool {
    ["CONFIG_EROFS_FS=y", "CONFIG_EROFS_FS_ZIP=y"]
        .iter()
        .all(|wanted| config.lines().any(|line| line == *wanted))
}

/// The kernel's release: a bzImage says it, other files have it in their names.
fn release(kernel: &Path) -> Option<String> {
    let said = File::open(kernel).ok().and_then(|file| format::release(&file).ok().flatten());
    let named = || Some(kernel.file_name()?.to_str()?.split_once('-')?.1.to_owned());
    // It becomes part of a path.
    said.or_else(named).filter(|release| !release.contains('/') && !release.is_empty())
}

fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    bytes.windows(wanted.len()).any(|window| window == wanted)
}

#[cfg(test)]
mod tests {
    use super::super::initramfs::archive;
    use super::*;

    /// A kernel, an initramfs with `module` and a configuration in one directory.
    fn ask(module: Option<&[u8]>, config: Option<&str>) -> Option<bool> {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        let files: Vec<_> = module.iter().map(|m| ("modules/erofs.ko", *m)).collect();
        fs::write(path("initramfs"), archive(&files)).unwrap();
        fs::write(path("vmlinux-0.0-none"), b"\x7fELF").unwrap();
        if let Some(config) = config {
            fs::write(path("config-0.0-none"), config).unwrap();
        }
        mounts_erofs(&path("vmlinux-0.0-none"), &path("initramfs"))
    }

    #[test]
    fn a_module_in_the_initramfs_counts_if_it_reads_compressed_disks() {
        assert_eq!(ask(Some(b"\x7fELF..z_erofs_runqueue.."), None), Some(true));
        assert_eq!(ask(Some(b"\x7fELF..erofs_iget.."), None), Some(false));
    }

    #[test]
    fn without_a_module_the_configuration_counts() {
        let whole = "CONFIG_EROFS_FS=y\nCONFIG_EROFS_FS_XATTR=y\nCONFIG_EROFS_FS_ZIP=y\n";
        assert_eq!(ask(None, Some(whole)), Some(true));
        assert_eq!(
            ask(None, Some("CONFIG_EROFS_FS=y\n# CONFIG_EROFS_FS_ZIP is not set\n")),
            Some(false)
        );
        assert_eq!(ask(None, Some("CONFIG_EROFS_FS=m\nCONFIG_EROFS_FS_ZIP=y\n")), Some(false));
        assert_eq!(ask(None, None), None);
    }

    #[test]
    fn what_is_not_ours_tells_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        fs::write(path("initramfs"), b"\x1f\x8bpacked").unwrap();
        fs::write(path("vmlinux-0.0-none"), b"\x7fELF").unwrap();
        let look = || mounts_erofs(&path("vmlinux-0.0-none"), &path("initramfs"));
        assert_eq!(look(), None);
        // Its own initramfs may bring what is no part of it.
        fs::write(path("config-0.0-none"), "CONFIG_EROFS_FS=m\n").unwrap();
        assert_eq!(look(), None);
        assert_eq!(mounts_erofs(&path("no"), &path("no")), None);
    }
}
