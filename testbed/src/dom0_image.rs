//! The Dom0 image: a Debian root with Xen's tools, the hypervisor, kernel and
//! initrd to boot it with, and the ssh keys that open it.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::mmdebstrap::Mmdebstrap;
pub use crate::mmdebstrap::SUITE;
use crate::{cache, tool};

/// The architecture of Xen, Dom0 and guests, as Rust names it.
pub const ARCH: &str = "x86_64";

/// What Dom0 runs, beyond Debian's minimal base.
const PACKAGES: &[&str] = &[
    "busybox-static",
    "ca-certificates",
    "conmon",
    "containerd",
    "docker-registry",
    "docker.io",
    "e2fsprogs",
    "iproute2",
    "kmod",
    "linux-image-amd64",
    "nftables",
    "openssh-server",
    "podman",
    "procps",
    "qemu-system-xen",
    "skopeo",
    "squashfs-tools",
    "strace",
    "udev",
    "util-linux",
    "xen-hypervisor-4.17-amd64",
    "xen-utils-4.17",
    "xenstore-utils",
];

/// Files nobody looks at in there: a third of the image.
const EXCLUDED: &[&str] = &[
    "/usr/share/doc/*",
    "/usr/share/locale/*",
    "/usr/share/man/*",
    "/lib/modules/*/kernel/sound/*",
    "/lib/modules/*/kernel/drivers/gpu/*",
    "/lib/modules/*/kernel/drivers/iio/*",
    "/lib/modules/*/kernel/drivers/infiniband/*",
    "/lib/modules/*/kernel/drivers/media/*",
    "/lib/modules/*/kernel/drivers/net/ethernet/*",
    "/lib/modules/*/kernel/drivers/net/wireless/*",
    "/lib/modules/*/kernel/drivers/scsi/*",
    "/lib/modules/*/kernel/drivers/staging/*",
    "/lib/modules/*/kernel/drivers/usb/*",
];

/// The files that go into the image or make it, with their names where it is built.
const FILES: [(&str, &str); 6] = [
    ("init", include_str!("../dom0/init")),
    ("initrd-init", include_str!("../dom0/initrd-init")),
    ("make-initrd", include_str!("../dom0/make-initrd")),
    ("sshd_config", include_str!("../dom0/sshd_config")),
    ("before-packages", include_str!("../dom0/before-packages")),
    ("after-packages", include_str!("../dom0/after-packages")),
];

/// A built Dom0 image in the cache. Used read-only, by any number of runs.
#[derive(Debug, Clone)]
pub struct Dom0Image {
    dir: PathBuf,
}

impl Dom0Image {
    /// The image of the current recipe; built (minutes) when the cache has none.
    pub fn get() -> Result<Self> {
        let dir = cache::entry("dom0", recipe(&root()), build)
            .context("the Dom0 image cannot be built")?;
        Ok(Self { dir })
    }

    /// The image of the current recipe, if the cache has it.
    pub fn cached() -> Result<Option<Self>> {
        Ok(cache::cached("dom0", recipe(&root()))?.map(|dir| Self { dir }))
    }

    /// The hypervisor: an ELF multiboot image.
    pub fn xen(&self) -> PathBuf {
        self.dir.join("xen")
    }

    /// Dom0's kernel, which is also Debian's kernel for guests: a bzImage.
    pub fn kernel(&self) -> PathBuf {
        self.dir.join("vmlinuz")
    }

    /// Dom0's initrd.
    pub fn initrd(&self) -> PathBuf {
        self.dir.join("initrd.img")
    }

    /// Dom0's root file system: a raw ext4 image.
    pub fn root(&self) -> PathBuf {
        self.dir.join("root.img")
    }

    /// The private key that logs in as root.
    pub fn client_key(&self) -> PathBuf {
        self.dir.join("client")
    }

    /// Dom0's public host key as an ssh known_hosts file, under the name `dom0`.
    pub fn known_hosts(&self) -> PathBuf {
        self.dir.join("known_hosts")
    }

    /// The modules of Dom0's kernel as `lib/modules/VERSION`.
    pub fn modules(&self) -> Result<PathBuf> {
        let root = self.dir.join("modules/lib/modules");
        let mut versions = fs::read_dir(&root)?;
        match (versions.next(), versions.next()) {
            (Some(version), None) => Ok(version?.path()),
            _ => bail!("{} holds not one kernel version", root.display()),
        }
    }
}

/// The recipe, as far as mmdebstrap knows it.
fn root() -> Mmdebstrap {
    Mmdebstrap::new("minbase")
        .arg("--format=null")
        .exclude(EXCLUDED)
        .include(PACKAGES)
        .arg("--essential-hook=./before-packages")
        .arg("--customize-hook=./after-packages")
}

/// Everything that the image depends on.
fn recipe(root: &Mmdebstrap) -> impl Iterator<Item = &[u8]> {
    root.recipe().chain(FILES.iter().map(|(_, text)| text.as_bytes()))
}

fn build(dir: &Path) -> Result<()> {
    eprintln!(
        "testbed: building the Dom0 image (Debian {SUITE}); this takes a minute or two, once"
    );
    for (name, text) in FILES {
        fs::write(dir.join(name), text)?;
        fs::set_permissions(dir.join(name), Permissions::from_mode(0o755))?;
    }
    make_keys(dir)?;
    root().run(dir, Path::new("/dev/null"))
}

/// An ed25519 key pair for each side: quick under emulation.
fn make_keys(dir: &Path) -> Result<()> {
    for name in ["host", "client"] {
        let mut keygen = tool::command("ssh-keygen");
        keygen.args(["-q", "-t", "ed25519", "-N", "", "-C", "testbed", "-f", name]);
        tool::run(keygen.current_dir(dir))?;
    }
    let host = fs::read_to_string(dir.join("host.pub"))?;
    fs::write(dir.join("known_hosts"), format!("dom0 {host}"))?;
    Ok(())
}
