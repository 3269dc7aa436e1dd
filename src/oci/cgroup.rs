//! The control group on the host of the process that stands for a container: callers read
//! there what it takes, and put limits there. The container's own limits are the DomU's.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsFd;
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// Where Linux's one hierarchy is mounted.
const ROOT: &str = "/sys/fs/cgroup";

/// How long whoever is in a group may take to leave it.
const PATIENCE: Duration = Duration::from_secs(5);

/// The directory of `path`, the configuration's `linux.cgroupsPath`, if there is the one
/// hierarchy and it is a path: systemd's `slice:prefix:name` is for systemd to make.
pub fn directory(path: Option<&Path>) -> Option<PathBuf> {
    let root = Path::new(ROOT);
    if !root.join("cgroup.controllers").exists() {
        return None;
    }
    below(root, path?)
}

fn below(root: &Path, path: &Path) -> Option<PathBuf> {
    let plain = |part: &Component<'_>| matches!(part, Component::RootDir | Component::Normal(_));
    let text = path.to_str().filter(|text| !text.is_empty() && !text.contains(':'))?;
    let path = Path::new(text);
    path.components().all(|part| plain(&part)).then(|| root.join(text.trim_start_matches('/')))
}

/// Moves process `pid` into `dir`, which is made.
///
/// # Errors
/// The kernel's.
pub fn enter(dir: &Path, pid: u32) -> io::Result<()> {
    fs::create_dir_all(dir)?;
    fs::write(dir.join("cgroup.procs"), pid.to_string())
}

/// Removes `dir`, once nobody is in it: who stood for the container is on its way out.
/// What somebody else has put there is left to them after five seconds.
///
/// # Errors
/// The kernel's.
pub fn remove(dir: &Path) -> io::Result<()> {
    let until = Instant::now() + PATIENCE;
    loop {
        let Some(events) = watch(dir)? else { return Ok(()) };
        match fs::remove_dir(dir) {
            Err(e) if e.kind() == io::ErrorKind::ResourceBusy => {}
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
            removed => return removed,
        }
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            tracing::warn!("{} is not empty, and is left", dir.display());
            return Ok(());
        }
        let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::ZERO);
        match poll(&mut [PollFd::new(events.as_fd(), PollFlags::POLLPRI)], timeout) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(e) => return Err(e.into()),
        }
    }
}

/// What tells of everybody's leaving: having been read, it has a word of each change. None
/// if there is no such group.
fn watch(dir: &Path) -> io::Result<Option<File>> {
    match File::open(dir.join("cgroup.events")) {
        Ok(mut events) => {
            io::read_to_string(&mut events)?;
            Ok(Some(events))
        }
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_paths_are_below_the_root() {
        let of = |path: &str| below(Path::new("/c"), Path::new(path));
        assert_eq!(of("/a/b"), Some("/c/a/b".into()));
        assert_eq!(of("a"), Some("/c/a".into()));
        for path in ["", "/../x", "system.slice:vxn:a"] {
            assert_eq!(of(path), None, "{path}");
        }
    }
}
