//! The images under test: OCI layouts made from Debian packages.

mod busybox;
mod debian;
mod entries;
mod layout;
mod workshop;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::cache;
use crate::mmdebstrap::Mmdebstrap;

/// Our own part of the recipe: the code that writes the layers.
const CODE: [&str; 6] = [
    include_str!("mod.rs"),
    include_str!("busybox.rs"),
    include_str!("debian.rs"),
    include_str!("entries.rs"),
    include_str!("layout.rs"),
    include_str!("workshop.rs"),
];

/// The directory with the layouts `busybox`, `configured`, `debian` and `workshop`; made when the cache
/// has none.
pub fn get() -> Result<PathBuf> {
    cache::entry("images", CODE.map(str::as_bytes), build)
        .context("the images under test cannot be made")
}

/// The directory that [`get`] would return, if the cache has it.
pub fn cached() -> Result<Option<PathBuf>> {
    cache::cached("images", CODE.map(str::as_bytes))
}

fn build(dir: &Path) -> Result<()> {
    eprintln!("testbed: making the images under test: busybox, debian, workshop");
    let tar = dir.join("root.tar");
    Mmdebstrap::new("extract").include(&["busybox-static"]).run(dir, &tar)?;
    let mut archive = tar::Archive::new(std::fs::File::open(&tar)?);
    let binary = dir.join("busybox-binary");
    for entry in archive.entries()? {
        let mut entry = entry?;
        if entry.path()?.ends_with("bin/busybox") {
            entry.unpack(&binary)?;
        }
    }
    busybox::build(&dir.join("busybox"), &binary).context("busybox")?;
    busybox::build_configured(&dir.join("configured"), &binary).context("configured")?;
    Mmdebstrap::new("minbase").run(dir, &tar)?;
    debian::build(&dir.join("debian"), &tar).context("debian")?;
    Mmdebstrap::new("extract").include(&workshop::PACKAGES).run(dir, &tar)?;
    workshop::build(&dir.join("workshop"), &tar).context("workshop")?;
    std::fs::remove_file(&binary)?;
    std::fs::remove_file(&tar)?;
    Ok(())
}
