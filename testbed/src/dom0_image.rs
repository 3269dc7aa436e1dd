//! The Dom0 image: a Debian root with Xen's tools, the hypervisor, kernel and
//! initrd to boot it with, and the ssh keys that open it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::{apt, cache, tool};

/// Debian's release in Dom0, and with it Xen's version.
pub const SUITE: &str = "bookworm";
/// The architecture of Xen, Dom0 and guests, as Rust names it.
pub const ARCH: &str = "x86_64";

/// What Dom0 runs, beyond Debian's minimal base.
const PACKAGES: &[&str] = &[
    "busybox",
    "ca-certificates",
    "docker-registry",
    "iproute2",
    "kmod",
    "linux-image-amd64",
    "nftables",
    "openssh-server",
    "procps",
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

/// Before the kernel is unpacked: its initrd needs no more than the root disk.
const SMALL_INITRD: &str = r#"
mkdir -p "$1/etc/initramfs-tools/conf.d" "$1/usr/share/initramfs-tools/modules.d"
echo MODULES=list >"$1/etc/initramfs-tools/conf.d/testbed"
printf '%s\n' virtio_pci virtio_blk ext4 crc32c >"$1/usr/share/initramfs-tools/modules.d/testbed"
"#;

/// At the end: our init, the keys, the boot files out, the root into a disk image.
/// Commands arrive by ssh, so root's shell is the quick one. The bind mount
/// shows the root without the proc and sys that mmdebstrap mounted in it.
const FINISH: &str = r#"
set -e
install -m 755 init "$1/sbin/testbed-init"
rm -f "$1"/etc/ssh/ssh_host_*
install -m 600 host "$1/etc/ssh/ssh_host_ed25519_key"
install -m 644 sshd_config "$1/etc/ssh/sshd_config"
install -D -m 600 client.pub "$1/root/.ssh/authorized_keys"
sed -i '1s,/bin/bash,/bin/sh,' "$1/etc/passwd"
cp "$1"/boot/vmlinuz-* vmlinuz
cp "$1"/boot/initrd.img-* initrd.img
gunzip -c "$1/boot/xen-4.17-amd64.gz" >xen
mkdir -p modules/lib rootfs
cp -r "$1/lib/modules" modules/lib/
mount --bind "$1" rootfs
mke2fs -q -t ext4 -L dom0 -d rootfs root.img 8G
umount rootfs
rmdir rootfs
"#;

const INIT: &str = include_str!("../dom0/init");
const SSHD_CONFIG: &str = include_str!("../dom0/sshd_config");

/// A built Dom0 image in the cache. Used read-only, by any number of runs.
#[derive(Debug, Clone)]
pub struct Dom0Image {
    dir: PathBuf,
}

impl Dom0Image {
    /// The image of the current recipe; built (minutes) when the cache has none.
    pub fn get() -> Result<Self> {
        let args = mmdebstrap_args();
        let parts = args.iter().map(String::as_bytes);
        let recipe = parts.chain([INIT.as_bytes(), SSHD_CONFIG.as_bytes()]);
        let dir = cache::entry("dom0", recipe, |dir| build(dir, &args))
            .context("the Dom0 image cannot be built")?;
        Ok(Self { dir })
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

/// Everything mmdebstrap is told, but the host's apt settings: the recipe.
fn mmdebstrap_args() -> Vec<String> {
    let mut args = vec!["--variant=minbase".to_owned(), "--format=null".to_owned()];
    args.push("--architectures=amd64".to_owned());
    args.extend(EXCLUDED.iter().map(|path| format!("--dpkgopt=path-exclude={path}")));
    args.push(format!("--include={}", PACKAGES.join(",")));
    args.push(format!("--essential-hook={SMALL_INITRD}"));
    args.push(format!("--customize-hook={FINISH}"));
    args
}

fn build(dir: &Path, args: &[String]) -> Result<()> {
    eprintln!("testbed: building the Dom0 image (Debian {SUITE}); this takes some minutes, once");
    fs::write(dir.join("init"), INIT)?;
    fs::write(dir.join("sshd_config"), SSHD_CONFIG)?;
    make_keys(dir)?;
    let mut mmdebstrap = tool::root_command("mmdebstrap");
    mmdebstrap.args(args).args(apt::proxies()?.iter().map(|conf| format!("--aptopt={conf}")));
    mmdebstrap.args([SUITE, "/dev/null"]).current_dir(dir);
    if apt::write_sources(SUITE, &dir.join("sources.list"))? {
        mmdebstrap.arg("sources.list");
    }
    tool::run(&mut mmdebstrap)?;
    own(dir)
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

/// What sudo's mmdebstrap made belongs to the user in the end.
fn own(dir: &Path) -> Result<()> {
    if nix::unistd::geteuid().is_root() {
        return Ok(());
    }
    let owner = format!("{}:{}", nix::unistd::getuid(), nix::unistd::getgid());
    tool::run(tool::root_command("chown").args(["-R", &owner]).arg(dir))
}
