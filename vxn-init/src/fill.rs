//! The first content of a volume: what the image has where it is mounted, as
//! docker does.

use std::{
    fs::{self, DirEntry, Metadata, Permissions},
    io,
    os::{
        fd::AsRawFd,
        unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, lchown, symlink},
    },
    path::Path,
};

use nix::{
    errno::Errno,
    fcntl::AT_FDCWD,
    sys::{
        stat::{Mode, UtimensatFlags, utimensat},
        time::TimeSpec,
    },
    unistd::mkfifo,
};

use crate::{Result, error::Context, rootfs::Rootfs};

/// Copies the directory at `path` of the image to the empty directory `volume`,
/// with owners, permissions and times. What is neither file, directory, link nor
/// FIFO stays behind. No process of the container runs yet, so names stay what
/// they are.
pub fn fill(root: &Rootfs, path: &Path, volume: &Path) -> Result<()> {
    let dir = match root.directory(path) {
        Err(Errno::ENOENT | Errno::ENOTDIR) => return Ok(()),
        dir => dir.context(format_args!("open {} of the image", path.display()))?,
    };
    let from = format!("/proc/self/fd/{}", dir.as_raw_fd());
    copy_content(Path::new(&from), volume)
        .and_then(|()| copy_attributes(&fs::metadata(&from)?, volume))
        .context(format_args!("copy {} of the image to its volume", path.display()))
}

fn copy_content(from: &Path, to: &Path) -> io::Result<()> {
    fs::read_dir(from)?.try_for_each(|entry| {
        let entry = entry?;
        let to = to.join(entry.file_name());
        match copy(&entry, &to) {
            // Another container's guest fills the same volume.
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            copied => copied,
        }
    })
}

fn copy(entry: &DirEntry, to: &Path) -> io::Result<()> {
    let from = entry.path();
    // Of a link itself.
    let meta = entry.metadata()?;
    let kind = meta.file_type();
    if kind.is_symlink() {
        symlink(fs::read_link(from)?, to)?;
        return lchown(to, Some(meta.uid()), Some(meta.gid()));
    } else if kind.is_dir() {
        fs::create_dir(to)?;
        copy_content(&from, to)?;
    } else if kind.is_file() {
        io::copy(&mut fs::File::open(&from)?, &mut fs::File::create_new(to)?)?;
    } else if kind.is_fifo() {
        mkfifo(to, Mode::S_IRWXU)?;
    } else {
        return Ok(());
    }
    copy_attributes(&meta, to)
}

/// The owner first: a change of it takes permissions away.
fn copy_attributes(meta: &Metadata, to: &Path) -> io::Result<()> {
    lchown(to, Some(meta.uid()), Some(meta.gid()))?;
    fs::set_permissions(to, Permissions::from_mode(meta.mode() & 0o7777))?;
    let (atime, mtime) = (
        TimeSpec::new(meta.atime(), meta.atime_nsec()),
        TimeSpec::new(meta.mtime(), meta.mtime_nsec()),
    );
    Ok(utimensat(AT_FDCWD, to, &atime, &mtime, UtimensatFlags::NoFollowSymlink)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_volume_gets_what_the_image_has_and_links_lead_nowhere() {
        let dir = tempfile::tempdir().unwrap();
        let (image, volume) = (dir.path().join("image"), dir.path().join("volume"));
        fs::create_dir_all(image.join("real/sub")).unwrap();
        fs::create_dir(&volume).unwrap();
        fs::write(dir.path().join("outside"), "outside").unwrap();
        symlink("/real", image.join("data")).unwrap();
        fs::write(image.join("real/sub/file"), "text").unwrap();
        fs::set_permissions(image.join("real/sub/file"), Permissions::from_mode(0o4711)).unwrap();
        fs::set_permissions(image.join("real"), Permissions::from_mode(0o1750)).unwrap();
        symlink("../../outside", image.join("real/link")).unwrap();
        mkfifo(&image.join("real/fifo"), Mode::S_IRUSR).unwrap();
        let root = Rootfs::open(&image).unwrap();

        fill(&root, Path::new("/data"), &volume).unwrap();
        assert_eq!(fs::read(volume.join("sub/file")).unwrap(), b"text");
        let mode = |path: &Path| fs::symlink_metadata(path).unwrap().mode() & 0o7777;
        assert_eq!(mode(&volume.join("sub/file")), 0o4711);
        assert_eq!(mode(&volume), 0o1750);
        assert_eq!(mode(&volume.join("fifo")), 0o400);
        assert_eq!(fs::read_link(volume.join("link")).unwrap(), Path::new("../../outside"));
        let times = |path: &Path| fs::metadata(path).unwrap().modified().unwrap();
        assert_eq!(times(&volume.join("sub/file")), times(&image.join("real/sub/file")));
        // What somebody else has put there already stays.
        fs::write(volume.join("sub/file"), "changed").unwrap();
        fill(&root, Path::new("/data"), &volume).unwrap();
        assert_eq!(fs::read(volume.join("sub/file")).unwrap(), b"changed");
        fill(&root, Path::new("/nothing"), &volume).unwrap();
    }
}
