//! Guest kernels: whatever a distribution ships, made into what libxl maps
//! without work.
//!
//! libxl unpacks a compressed kernel at every start, half a second for Debian's
//! xz. [`prepare`] unpacks it once, keeps the result under the SHA-256 of the
//! source, and finds it again by the source's inode without reading it.

mod cache;
mod erofs;
mod format;
mod initramfs;
mod notes;
mod unpack;

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use cache::{Cache, Entry, Stamp};
pub use erofs::mounts_erofs;
use format::{Format, Shape};

/// The largest unpacked kernel that is accepted, in bytes: libxenguest's own limit.
pub const MAX_UNPACKED: u64 = 1 << 30;

/// A kernel that libxl can map as it is, and the guest types that it can boot as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KernelInfo {
    /// Absolute path of an ELF vmlinux (x86) or an arm64 Image.
    pub path: PathBuf,
    /// It has the Xen note `XEN_ELFNOTE_ENTRY`: boots as a PV guest.
    pub pv: bool,
    /// It has the Xen note `XEN_ELFNOTE_PHYS32_ENTRY`, or is an arm64 Image: boots as PVH.
    pub pvh: bool,
}

/// Why a file cannot be used as a guest kernel.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A system call on the source or on the cache failed.
    #[error("cannot {action} {}: {error}", path.display())]
    Io {
        /// What was tried, an infinitive: "read", "write".
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// The system's words.
        error: io::Error,
    },
    /// The file is none of the shapes that a kernel comes in.
    #[error(
        "{}: not a kernel (a bzImage, an ELF vmlinux or an arm64 Image, compressed or not)",
        .0.display()
    )]
    NotAKernel(PathBuf),
    /// It is a kernel, in a shape that vxn does not read.
    #[error("{}: {what} is not supported", path.display())]
    Unsupported {
        /// The source.
        path: PathBuf,
        /// The shape.
        what: &'static str,
    },
    /// The file says that it is a kernel, and then is not.
    #[error("{}: corrupt kernel: {why}", path.display())]
    Corrupt {
        /// The source.
        path: PathBuf,
        /// What is wrong with it, in the decoder's words.
        why: String,
    },
    /// The unpacked kernel is larger than [`MAX_UNPACKED`].
    #[error("{}: unpacks to more than {} MiB", .0.display(), MAX_UNPACKED >> 20)]
    TooBig(PathBuf),
    /// An x86 kernel without Xen's ELF notes.
    #[error(
        "{}: kernel cannot be a Xen guest (no Xen ELF notes: built without CONFIG_XEN)",
        .0.display()
    )]
    NotForXen(PathBuf),
    /// The source was written to while it was read.
    #[error("{}: changed while it was read", .0.display())]
    Changed(PathBuf),
}

impl Error {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Error::Io { action: "read", .. } | Error::NotAKernel(_) | Error::Unsupported { .. } => {
                Some("name another kernel; `vxn check` tells whether one will do")
            }
            Error::Io { .. } => Some("vxn unpacks kernels below its `root`, as root"),
            Error::Corrupt { .. } | Error::TooBig(_) => Some("install that kernel again"),
            Error::NotForXen(_) => Some("a guest needs CONFIG_XEN_PVH or CONFIG_XEN_PV"),
            Error::Changed(_) => Some("try again"),
        }
    }
}

/// The result of everything in this room.
pub type Result<T> = std::result::Result<T, Error>;

/// Gives the kernel at `source` in a form that libxl maps without unpacking.
///
/// An uncompressed one is used where it is. A compressed one is unpacked into
/// the directory `cache` (usually `/var/lib/vxn/kernels`), by way of a work
/// directory under `tmp` on the same file system (usually `/var/lib/vxn/tmp`).
/// Processes that prepare the same kernel at once unpack it once.
pub fn prepare(source: &Path, cache: &Path, tmp: &Path) -> Result<KernelInfo> {
    let path = source.canonicalize().map_err(io_error("read", source))?;
    let file = File::open(&path).map_err(io_error("read", &path))?;
    let stamp = Stamp::of(&file).map_err(io_error("read", &path))?;
    let cache = Cache::new(cache, tmp).map_err(io_error("find", cache))?;
    if let Some(known) = cache.find(&stamp) {
        return Ok(known);
    }
    let packed = match format::recognise(&file, &path)? {
        Shape::Ready(format) => return Ok(inspect(&file, format, &path)?.at(path)),
        Shape::Packed(packed) => packed,
    };
    let digest = cache::digest(&file).map_err(io_error("read", &path))?;
    let made = cache.make(&digest, |out| {
        unpack::unpack(&file, &packed, &path, out, MAX_UNPACKED)?;
        inspect_unpacked(out, &path).map(drop)
    })?;
    if Stamp::of(&file).map_err(io_error("read", &path))? != stamp {
        return Err(Error::Changed(path));
    }
    let unpacked = File::open(&made).map_err(io_error("read", &made))?;
    let info = inspect_unpacked(&unpacked, &path)?.at(made);
    cache.remember(&stamp, &Entry::new(&path, digest, &info))?;
    Ok(info)
}

/// What an uncompressed kernel can be.
struct GuestTypes {
    pv: bool,
    pvh: bool,
}

impl GuestTypes {
    fn at(self, path: PathBuf) -> KernelInfo {
        KernelInfo { path, pv: self.pv, pvh: self.pvh }
    }
}

/// The same for a file that came out of a compressed one, `source`.
fn inspect_unpacked(file: &File, source: &Path) -> Result<GuestTypes> {
    match format::recognise(file, source)? {
        Shape::Ready(format) => inspect(file, format, source),
        Shape::Packed(_) => Err(Error::NotAKernel(source.to_owned())),
    }
}

/// Which guest types the uncompressed kernel in `file` supports. Errors speak of `source`.
fn inspect(file: &File, format: Format, source: &Path) -> Result<GuestTypes> {
    if format == Format::Arm64Image {
        return Ok(GuestTypes { pv: false, pvh: true });
    }
    let notes = notes::read(file)
        .map_err(|e| Error::Corrupt { path: source.to_owned(), why: e.to_string() })?;
    if notes.entry || notes.phys32_entry {
        Ok(GuestTypes { pv: notes.entry, pvh: notes.phys32_entry })
    } else {
        Err(Error::NotForXen(source.to_owned()))
    }
}

/// For `map_err`: what was tried, and on which file.
fn io_error<'a>(action: &'static str, path: &'a Path) -> impl Fn(io::Error) -> Error + use<'a> {
    move |error| Error::Io { action, path: path.to_owned(), error }
}

#[cfg(test)]
mod tests;
