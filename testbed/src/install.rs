//! This tree's vxn, built and laid out as it is installed on a Dom0.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::dom0_image::Dom0Image;
use crate::{initramfs, logs, tool};

/// The guest's PID 1 is static, so it is built for a named target: otherwise
/// the flags would reach build scripts and procedural macros too.
const GUEST_TARGET: &str = "x86_64-unknown-linux-gnu";
const GUEST_FLAGS: (&str, &str) =
    ("CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUSTFLAGS", "-C target-feature=+crt-static");

/// Settings of the Dom0s of tests. Under emulation, on a machine that does other
/// work too, eight guests that boot at once need minutes.
const SETTINGS: &str = "boot_timeout = 360\n";

/// The programs of this tree, as cargo left them.
#[derive(Debug, Clone)]
pub struct Programs {
    /// The command.
    pub vxn: PathBuf,
    /// What libxl runs for disks and network interfaces.
    pub hotplug: PathBuf,
    /// PID 1 of guests.
    pub init: PathBuf,
}

impl Programs {
    /// Builds them, as far as they are out of date.
    pub fn build() -> Result<Self> {
        eprintln!("testbed: building vxn, vxn-hotplug and vxn-init");
        let init = Self::build_init()?;
        let mut cargo = cargo();
        cargo.args(["--release", "--package", "vxn", "--bins"]);
        tool::run(&mut cargo).context("vxn does not build")?;
        let release = logs::target_dir().join("release");
        Ok(Self { vxn: release.join("vxn"), hotplug: release.join("vxn-hotplug"), init })
    }

    /// Builds the guest's PID 1 alone; returns its path.
    pub fn build_init() -> Result<PathBuf> {
        static_program("vxn-init")
    }
}

/// An initramfs whose first process attacks Dom0, for the kernel of the Dom0 image. What
/// it does is the container's host name: `testbed/hostile`.
pub fn hostile_initramfs() -> Result<Vec<u8>> {
    let dir = TempDir::with_prefix("vxn-hostile-")?;
    let initramfs = dir.path().join("initramfs.cpio");
    let init = static_program("hostile-guest")?;
    initramfs::build(&init, Some(&Dom0Image::get()?.modules()?), &initramfs)
        .context("the hostile initramfs cannot be made")?;
    Ok(fs::read(&initramfs)?)
}

/// Builds a package for the guest; returns the path of its program.
fn static_program(package: &str) -> Result<PathBuf> {
    let mut cargo = cargo();
    cargo.args(["--release", "--package", package, "--target", GUEST_TARGET]);
    let built = tool::run(cargo.env(GUEST_FLAGS.0, GUEST_FLAGS.1));
    built.with_context(|| format!("{package} does not build"))?;
    Ok(logs::target_dir().join(GUEST_TARGET).join("release").join(package))
}

/// A directory whose contents belong into Dom0's root. Removed when dropped.
#[derive(Debug)]
pub struct Install {
    dir: TempDir,
}

impl Install {
    /// Lays out `programs`, an initramfs for the kernel of `image`, and settings.
    pub fn new(programs: &Programs, image: &Dom0Image) -> Result<Self> {
        let dir = TempDir::with_prefix("vxn-install-")?;
        let lib = dir.path().join("usr/lib/vxn");
        fs::create_dir_all(&lib)?;
        copy(&programs.vxn, &dir.path().join("usr/bin"))?;
        copy(&programs.hotplug, &lib)?;
        symlink("vxn", dir.path().join("usr/bin/vxn-oci-runtime"))?;
        let etc = dir.path().join("etc/vxn");
        fs::create_dir_all(&etc)?;
        fs::write(etc.join("vxn.toml"), SETTINGS)?;
        let initramfs = lib.join("initramfs.cpio");
        initramfs::build(&programs.init, Some(&image.modules()?), &initramfs)
            .context("the initramfs cannot be made")?;
        Ok(Self { dir })
    }

    /// The directory.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }
}

/// cargo, quiet about what is up to date, in this workspace.
fn cargo() -> std::process::Command {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut cargo = tool::command(program);
    cargo.args(["build", "--quiet"]).current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    cargo
}

fn copy(file: &Path, dir: &Path) -> Result<()> {
    let copy = || -> Result<()> {
        fs::create_dir_all(dir)?;
        let name = file.file_name().context("a program without a name")?;
        fs::copy(file, dir.join(name))?;
        Ok(())
    };
    copy().with_context(|| format!("cannot copy {} to {}", file.display(), dir.display()))
}
