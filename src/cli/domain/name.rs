//! A name belongs to one process while its domain is made or destroyed.
//!
//! libxl checks whether a name is taken, and then takes it: two at once could both
//! get it. And a domain that is destroyed while libxl still makes it keeps what libxl
//! writes to xenstore afterwards.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::{find, guest};
use crate::libxl::Ctx;
use crate::state::LockFile;

/// Waits until nobody else makes or destroys a domain `name`. `run` is the directory
/// of the locks.
pub fn lock(run: &Path, name: &str) -> Result<LockFile> {
    let path = run.join(format!("domain-{}.lock", name.replace('/', "-")));
    fs::create_dir_all(run)
        .and_then(|()| LockFile::exclusive(&path))
        .with_context(|| format!("cannot lock {}", path.display()))
}

/// Destroys the guest of that name or id; one that is being made, when it is made.
pub fn destroy(ctx: &Ctx, run: &Path, wanted: &str) -> Result<()> {
    let _name = find(ctx, wanted)?.name.map(|name| lock(run, &name)).transpose()?;
    Ok(ctx.destroy(guest(ctx, wanted)?)?)
}
