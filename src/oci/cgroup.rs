//! The control group on the host of the process that stands for a container: callers read
//! there what it takes, and put limits there. The container's own limits are the DomU's.

use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

/// Where Linux's one hierarchy is mounted.
const ROOT: &str = "/sys/fs/cgroup";

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

/// Removes `dir`; one that is gone, or that somebody else is in, is left as it is.
///
/// # Errors
/// The kernel's.
pub fn remove(dir: &Path) -> io::Result<()> {
    match fs::remove_dir(dir) {
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::ResourceBusy) => {
            Ok(())
        }
        removed => removed,
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
