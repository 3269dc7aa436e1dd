//! The command line: one file per verb.

pub mod check;
pub mod domain;
pub mod domain_config;
pub mod info;

use std::path::PathBuf;

/// The files and directories that the verbs work with.
#[derive(Debug, Clone)]
pub struct Places {
    /// The cache of unpacked kernels.
    pub kernels: PathBuf,
    /// Work directories, on the same file system.
    pub tmp: PathBuf,
    /// What survives a reboot.
    pub state: PathBuf,
    /// What does not.
    pub run: PathBuf,
    /// The hotplug program.
    pub hotplug: PathBuf,
    /// The initial RAM disk of containers.
    pub initramfs: PathBuf,
    /// The kernel of containers.
    pub kernel: PathBuf,
}
