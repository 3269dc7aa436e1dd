//! From the kernel's hand-over to a root that the container can be built on.

use std::{
    fs, io,
    os::fd::{AsFd, BorrowedFd},
    path::Path,
};

use nix::{
    mount::{MsFlags, mount},
    poll::PollFlags,
    sys::resource::{Resource, setrlimit},
    unistd::{chdir, chroot},
};
use xen_vchan::Vchan;

use crate::{Error, Result, channel::Transport, disk::Disks, error::Context, modules::Modules};

/// The new root, while it is below the old one.
const NEW_ROOT: &str = "/root";

/// What the kernel offers and where, in the order of mounting. Binaries that
/// come from an image are never run from any of these.
const KERNEL_MOUNTS: [(&str, &str, MsFlags); 5] = [
    ("devtmpfs", "/dev", MsFlags::MS_NOSUID),
    ("proc", "/proc", LOCKED),
    ("sysfs", "/sys", LOCKED),
    ("cgroup2", "/sys/fs/cgroup", LOCKED),
    ("tmpfs", "/run", MsFlags::MS_NOSUID.union(MsFlags::MS_NODEV)),
];

const LOCKED: MsFlags = MsFlags::MS_NOSUID.union(MsFlags::MS_NODEV).union(MsFlags::MS_NOEXEC);

/// What the channel needs of a modular kernel.
const CHANNEL_MODULES: [&str; 2] = ["xen_evtchn", "xen_gntdev"];

/// Open files that docker lets a container have; limits are inherited.
const OPEN_FILES: u64 = 1_048_576;

/// Leaves the initramfs for a tmpfs, mounts the kernel's file systems there and
/// loads the drivers that the channel needs. The disk is on its way.
///
/// # Errors
/// The kernel's.
pub fn boot() -> Result<(Modules, Disks)> {
    let mut modules = Modules::open()?;
    switch_root()?;
    for (kind, path, flags) in KERNEL_MOUNTS {
        fs::create_dir_all(path).context(format_args!("create {path}"))?;
        mount_at(kind, Path::new(path), flags, "")?;
    }
    setrlimit(Resource::RLIMIT_NOFILE, OPEN_FILES, OPEN_FILES).context("raise a limit")?;
    let disks = Disks::find(&mut modules)?;
    for name in CHANNEL_MODULES {
        modules.load(name)?;
    }
    Ok((modules, disks))
}

/// pivot_root(2), with which the container's root is entered, refuses to work
/// on the initramfs, so `/` becomes a tmpfs. What is left behind is the binary
/// that runs and the modules.
fn switch_root() -> Result<()> {
    fs::create_dir_all(NEW_ROOT).context("create the new root")?;
    mount_at("tmpfs", Path::new(NEW_ROOT), LOCKED, "mode=755")?;
    chdir(NEW_ROOT).context("enter the new root")?;
    mount(Some("."), "/", None::<&str>, MsFlags::MS_MOVE, None::<&str>)
        .context("move the new root")?;
    chroot(".").context("change root")?;
    chdir("/").context("enter /")
}

/// Mounts a file system that has no device.
pub(crate) fn mount_at(kind: &str, path: &Path, flags: MsFlags, options: &str) -> Result<()> {
    mount(Some(kind), path, Some(kind), flags, Some(options))
        .context(format_args!("mount {kind} on {}", path.display()))
}

/// The channel to Dom0.
#[derive(Debug)]
pub struct Dom0(Vchan);

impl Dom0 {
    /// Connects as the client; the server is there before the DomU starts.
    ///
    /// # Errors
    /// The kernel's or xenstore's.
    pub fn connect() -> Result<Self> {
        Self::connect_to(vxn_proto::CHANNEL)
    }

    /// The same to the channel at `path`, which is relative to the DomU's own home
    /// in xenstore.
    ///
    /// # Errors
    /// The kernel's or xenstore's.
    pub fn connect_to(path: &str) -> Result<Self> {
        Vchan::connect(0, path)
            .map(Self)
            .map_err(|error| Error::Other(format!("cannot connect to Dom0 ({path}): {error}")))
    }
}

impl AsFd for Dom0 {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Transport for Dom0 {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn acknowledge(&mut self) -> io::Result<()> {
        self.0.acknowledge()
    }

    fn interest(&self, _writing: bool) -> PollFlags {
        PollFlags::POLLIN
    }
}
