//! Which kind of root disk a guest gets: what the settings wish, as far as its kernel
//! and this host's tools can.

use std::path::Path;

use anyhow::{Context, anyhow, bail};
use vxn_proto::FileSystem;

use super::failure::Hint;
use super::image::{limits, store};
use crate::config::{DiskChoice, Settings};
use crate::container::definition::Definition;
use crate::container::plan::RootDisk;
use crate::image::store::Found;
use crate::image::{DiskFormat, Formats, Image, PullOptions};
use crate::kernel::mounts_erofs;

/// What a guest starts from.
#[derive(Debug, Clone, Copy)]
pub struct Guest<'a> {
    /// Its kernel.
    pub kernel: &'a Path,
    /// Its initramfs.
    pub initramfs: &'a Path,
}

impl<'a> Guest<'a> {
    /// The one that the settings name.
    pub fn of(settings: &'a Settings) -> Guest<'a> {
        Guest { kernel: &settings.kernel.value, initramfs: &settings.initramfs.value }
    }

    /// The same, with what the user has named in its place.
    pub fn or(self, kernel: Option<&'a Path>, initramfs: Option<&'a Path>) -> Guest<'a> {
        Guest {
            kernel: kernel.unwrap_or(self.kernel),
            initramfs: initramfs.unwrap_or(self.initramfs),
        }
    }

    fn mounts_erofs(self) -> Option<bool> {
        mounts_erofs(self.kernel, self.initramfs)
    }
}

/// The kinds of root disks that will do for a guest.
///
/// # Errors
/// The settings want EROFS, and the guest is known not to have it.
pub fn formats(guest: Guest<'_>, settings: &Settings) -> anyhow::Result<Formats> {
    let choice = &settings.root_disk;
    match choice.value {
        DiskChoice::SquashFs => Ok(Formats::SquashFs),
        DiskChoice::Auto if guest.mounts_erofs() == Some(true) => Ok(Formats::Any),
        DiskChoice::Auto => Ok(Formats::SquashFs),
        // Where nobody knows, the user does.
        DiskChoice::Erofs if guest.mounts_erofs() != Some(false) => Ok(Formats::Erofs),
        DiskChoice::Erofs => {
            let (origin, kernel) = (&choice.origin, guest.kernel.display());
            let lacks = format!("the guest kernel {kernel} has no EROFS with lz4");
            Err(anyhow!("root_disk = erofs ({origin}): {lacks}")).context(Hint(HELP.to_owned()))
        }
    }
}

/// Against a guest without EROFS.
const HELP: &str = "make the initramfs again with that kernel's erofs module (`cargo xtask \
                    initramfs`), name another kernel, or set root_disk = \"auto\"";

/// An image's root disk as a guest is told of it.
pub fn of_image(image: Image) -> RootDisk {
    let fs = match image.root_disk.format {
        DiskFormat::SquashFs => FileSystem::SquashFs,
        DiskFormat::Erofs => FileSystem::Erofs,
    };
    RootDisk { path: image.root_disk.path, fs }
}

/// Gives a container that was made of an image another root disk with the same files, if
/// its own is gone or is of a kind that this guest cannot mount.
///
/// # Errors
/// The disk cannot be made: the image is not whole, a tool is missing.
pub fn renew(definition: &mut Definition, settings: &Settings) -> anyhow::Result<()> {
    let (kernel, initramfs) = (definition.kernel.clone(), definition.initramfs.clone());
    let guest = Guest::of(settings).or(kernel.as_deref(), initramfs.as_deref());
    let own = &definition.root_disk;
    let strange = own.fs == FileSystem::Erofs && guest.mounts_erofs() == Some(false);
    if own.path.exists() && !strange {
        return Ok(());
    }
    let what = if strange { "cannot be mounted by its kernel" } else { "is gone" };
    let name = &definition.name;
    let why = format!("the root disk of container {name}, {}, {what}", own.path.display());
    let wanted = if strange { Formats::SquashFs } else { formats(guest, settings)? };
    let options =
        PullOptions { limits: limits(settings), formats: wanted, ..PullOptions::default() };
    let found = Found { digest: definition.image.digest, name: None };
    tracing::info!("{why}: it is made again");
    let image = store(settings)?.prepare(&found, &options, &mut |_| {});
    definition.root_disk = of_image(image.context(why)?);
    Ok(())
}

/// What a new root disk would be, and why; for `vxn check`.
///
/// # Errors
/// The settings want what cannot be.
pub fn outlook(settings: &Settings) -> anyhow::Result<String> {
    let wanted = formats(Guest::of(settings), settings)?;
    match (wanted, crate::image::probe_erofs()) {
        (Formats::Any | Formats::Erofs, Ok(())) => Ok("EROFS".to_owned()),
        (Formats::Erofs, Err(e)) => bail!(e),
        (Formats::Any, Err(e)) => Ok(format!("SquashFS: {e}")),
        (Formats::SquashFs, _) if settings.root_disk.value == DiskChoice::SquashFs => {
            Ok(format!("SquashFS: root_disk = squashfs ({})", settings.root_disk.origin))
        }
        (Formats::SquashFs, _) => {
            Ok("SquashFS: the guest kernel is not known to have EROFS".to_owned())
        }
    }
}
