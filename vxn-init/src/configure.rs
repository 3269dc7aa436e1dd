//! What `Configure` asks for: random pool, clock, root file system.

use std::{
    fs::{self, OpenOptions, Permissions},
    os::{
        fd::AsFd,
        unix::fs::{MetadataExt, PermissionsExt, chown},
    },
    path::Path,
    time::{Duration, SystemTime},
};

use nix::{
    mount::{MsFlags, mount},
    sys::{
        socket::{AddressFamily, SockFlag, SockType, socket},
        time::TimeSpec,
    },
    time::{ClockId, clock_settime},
};
use vxn_proto::{Configure, FileSystem, HOSTS, Root, Writable};

use crate::{
    Result, boot::mount_at, container::Container, disk::Disks, error::Context, modules::Modules,
    rootfs::Rootfs, sys,
};

/// Our directory, outside of the container.
const RUN: &str = "/run/vxn";

/// Where the image's root file system is mounted.
pub const LOWER: &str = "/run/vxn/lower";

/// Where the writable layer has what the container has written.
pub const UPPER: &str = "/run/vxn/layer/upper";

/// How far the clock may be off.
const CLOCK_TOLERANCE: Duration = Duration::from_millis(500);

/// Sets the guest up and returns its container, without processes yet. `disks`
/// are on their way.
///
/// # Errors
/// The kernel's; a disk that is not there.
pub fn apply(configure: &Configure, modules: &mut Modules, mut disks: Disks) -> Result<Container> {
    // First of all: whatever asks for random numbers waits for them otherwise.
    seed(&configure.entropy.0)?;
    set_clock(configure.time)?;
    let socket = socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)
        .context("create a socket")?;
    sys::set_loopback_up(socket.as_fd()).context("bring the loopback interface up")?;
    let run = Path::new(RUN);
    let root = mount_root(&configure.root, run, modules, &mut disks)?;
    for name in &configure.container.disks {
        disks.wait(name)?;
    }
    write_names(&root, &configure.hostname)?;
    let state = run.join("state");
    Container::new(root.path(), &state, &configure.hostname, configure.container.clone())
}

fn seed(entropy: &[u8]) -> Result<()> {
    let pool = OpenOptions::new().write(true).open("/dev/random").context("open /dev/random")?;
    sys::add_entropy(&pool, entropy).context("seed the random pool")
}

fn set_clock(time: Duration) -> Result<()> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    if now.abs_diff(time) <= CLOCK_TOLERANCE {
        return Ok(());
    }
    clock_settime(ClockId::CLOCK_REALTIME, TimeSpec::from_duration(time)).context("set the clock")
}

/// Mounts the disk read-only and the writable layer over it.
fn mount_root(root: &Root, run: &Path, modules: &mut Modules, disks: &mut Disks) -> Result<Rootfs> {
    let [layer, merged] = ["layer", "root"].map(|name| run.join(name));
    let (lower, upper) = (Path::new(LOWER), Path::new(UPPER));
    for dir in [lower, &layer, &merged] {
        fs::create_dir_all(dir).context(format_args!("create {}", dir.display()))?;
    }
    let (kind, module) = match root.fs {
        FileSystem::SquashFs => ("squashfs", "squashfs"),
        FileSystem::Erofs => ("erofs", "erofs"),
        FileSystem::Ext4 => ("ext4", "ext4"),
    };
    modules.load(module)?;
    modules.load("overlay")?;
    let disk = disks.wait(&root.device)?;
    mount_disk(&disk, lower, kind, MsFlags::MS_RDONLY)?;
    mount_layer(&root.writable, &layer, modules, disks)?;
    let work = layer.join("work");
    if !upper.exists() {
        fs::create_dir(upper).context("create the writable layer")?;
        same_owner(lower, upper).context("copy the root directory's owner")?;
    }
    fs::create_dir_all(&work).context("create the writable layer")?;
    // A layer of an image has no word for a directory that was renamed, nor for a file of
    // which only the attributes have changed: `diff` and `commit` read what is above.
    let options = format!(
        "lowerdir={LOWER},upperdir={UPPER},workdir={},redirect_dir=off,metacopy=off",
        work.display()
    );
    mount_at("overlay", &merged, MsFlags::empty(), &options)?;
    Rootfs::open(&merged)
}

/// Mounts what the container writes to.
fn mount_layer(
    writable: &Writable,
    layer: &Path,
    modules: &mut Modules,
    disks: &mut Disks,
) -> Result<()> {
    match writable {
        Writable::Tmpfs { size_bytes } => {
            let size = size_bytes.map_or(String::new(), |size| format!(",size={size}"));
            mount_at("tmpfs", layer, MsFlags::empty(), &format!("mode=755{size}"))
        }
        Writable::Disk { device } => {
            modules.load("ext4")?;
            let disk = disks.wait(device)?;
            mount_disk(&disk, layer, "ext4", MsFlags::empty())
        }
    }
}

fn mount_disk(disk: &Path, target: &Path, kind: &str, flags: MsFlags) -> Result<()> {
    mount(Some(disk), target, Some(kind), flags, None::<&str>)
        .context(format_args!("mount {} as {kind}", disk.display()))
}

/// The writable layer's top directory is the one that the container sees as `/`.
fn same_owner(from: &Path, to: &Path) -> std::io::Result<()> {
    let meta = fs::metadata(from)?;
    chown(to, Some(meta.uid()), Some(meta.gid()))?;
    fs::set_permissions(to, Permissions::from_mode(meta.mode() & 0o7777))
}

/// The names of the container, in the files that docker provides too.
fn write_names(root: &Rootfs, hostname: &str) -> Result<()> {
    root.replace("/etc", "hostname", &format!("{hostname}\n"))?;
    root.replace("/etc", "hosts", HOSTS)
}
