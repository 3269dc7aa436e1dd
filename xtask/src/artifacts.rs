//! What a Dom0 is booted from: its image, the images under test, this tree's vxn.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread;

use anyhow::{Result, anyhow};
use testbed::Dom0Image;
use testbed::install::{Install, Programs};
use testbed::{images, initramfs};

use crate::packages;

/// All of it.
#[derive(Debug)]
pub struct Artifacts {
    /// This tree's vxn as it is installed.
    pub install: Install,
    /// The images under test.
    pub images: PathBuf,
}

/// Makes what is missing or out of date. The images come from a mirror and vxn
/// from the compiler, so they are made side by side.
pub fn make() -> Result<Artifacts> {
    packages::install()?;
    thread::scope(|scope| {
        let made = scope.spawn(|| Ok((Dom0Image::get()?, images::get()?)));
        let programs = Programs::build();
        let made: Result<_> = made.join().map_err(|_| anyhow!("a builder of images panicked"))?;
        let (dom0, images) = made?;
        Ok(Artifacts { install: Install::new(&programs?, &dom0)?, images })
    })
}

/// `cargo xtask initramfs`.
pub fn initramfs(modules: Option<&Path>, out: &Path) -> Result<ExitCode> {
    packages::install()?;
    initramfs::build(&Programs::build_init()?, modules, out)?;
    eprintln!("xtask: wrote {}", out.display());
    Ok(ExitCode::SUCCESS)
}
