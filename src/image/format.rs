//! Kinds of root disks, and which of them will do.

use serde::{Deserialize, Serialize};

/// The file system on a root disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum DiskFormat {
    /// squashfs 4.0 with lz4.
    SquashFs,
    /// EROFS with lz4, as Linux has it since 5.4.
    Erofs,
}

impl DiskFormat {
    /// All of them.
    pub const ALL: [DiskFormat; 2] = [DiskFormat::Erofs, DiskFormat::SquashFs];

    /// The name that mount(2) knows, and that of the kernel module.
    pub fn fs_type(self) -> &'static str {
        match self {
            DiskFormat::SquashFs => "squashfs",
            DiskFormat::Erofs => "erofs",
        }
    }
}

/// Which kinds of root disks will do for a guest and its owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Formats {
    /// SquashFS, which every guest of ours has.
    #[default]
    SquashFs,
    /// EROFS, come what may.
    Erofs,
    /// What is there; what is to be made is EROFS where its tool can.
    Any,
}

impl Formats {
    /// Those that will do, the best first.
    pub fn list(self) -> &'static [DiskFormat] {
        match self {
            Formats::SquashFs => &[DiskFormat::SquashFs],
            Formats::Erofs => &[DiskFormat::Erofs],
            Formats::Any => &DiskFormat::ALL,
        }
    }
}

impl From<DiskFormat> for Formats {
    /// That one only.
    fn from(format: DiskFormat) -> Formats {
        match format {
            DiskFormat::SquashFs => Formats::SquashFs,
            DiskFormat::Erofs => Formats::Erofs,
        }
    }
}
