//! erofs-utils of a Debian release of one's choice: bookworm's makes no disks of
//! archives, trixie's does. They are unpacked, not installed, and run with the libraries
//! they came with, so that any host and any Dom0 runs them.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::cache;
use crate::mmdebstrap::Mmdebstrap;

/// Starts the program of its own name with the loader and the libraries beside it.
const START: &str = r#"#!/bin/sh
root=$(dirname "$(readlink -f "$0")")/../root
libs=$root/usr/lib/x86_64-linux-gnu:$root/lib/x86_64-linux-gnu
for loader in "$root"/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2 \
    "$root"/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2; do
    [ ! -e "$loader" ] || exec "$loader" --library-path "$libs" "$root/usr/bin/${0##*/}" "$@"
done
echo "no loader in $root" >&2
exit 127
"#;

const PROGRAMS: [&str; 2] = ["mkfs.erofs", "fsck.erofs"];

/// A directory `bin` with `mkfs.erofs` and `fsck.erofs` of `suite`. What they need lies
/// beside it.
pub fn utils(suite: &'static str) -> Result<PathBuf> {
    let root = Mmdebstrap::new("extract").include(&["erofs-utils"]).suite(suite);
    let recipe = root.recipe().chain([suite.as_bytes(), START.as_bytes()]);
    let dir = cache::entry("erofs-utils", recipe, |dir| build(&root, dir));
    Ok(dir.with_context(|| format!("{suite}'s erofs-utils cannot be had"))?.join("bin"))
}

fn build(root: &Mmdebstrap, dir: &Path) -> Result<()> {
    root.run(dir, &dir.join("root"))?;
    let bin = dir.join("bin");
    fs::create_dir(&bin)?;
    for program in PROGRAMS {
        let path = bin.join(program);
        fs::write(&path, START)?;
        fs::set_permissions(&path, Permissions::from_mode(0o755))?;
    }
    Ok(())
}
