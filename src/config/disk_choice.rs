//! The setting `root_disk`.

use std::fmt::{self, Display};
use std::str::FromStr;

use serde::Serialize;

/// The wanted kind of root disks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum DiskChoice {
    /// EROFS where the guest's kernel and this host's tools can, SquashFS where they
    /// cannot.
    Auto,
    /// SquashFS.
    SquashFs,
    /// EROFS, or an error.
    Erofs,
}

/// Each choice with its name.
const DISK_CHOICES: [(&str, DiskChoice); 3] =
    [("auto", DiskChoice::Auto), ("squashfs", DiskChoice::SquashFs), ("erofs", DiskChoice::Erofs)];

impl FromStr for DiskChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<DiskChoice, String> {
        let named = DISK_CHOICES.iter().find(|(name, _)| *name == text);
        named
            .map(|(_, choice)| *choice)
            .ok_or_else(|| format!("{text:?} is no kind of root disk: auto, squashfs or erofs"))
    }
}

impl Display for DiskChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = DISK_CHOICES.iter().find(|(_, choice)| choice == self);
        f.write_str(named.map_or("", |(name, _)| name))
    }
}
