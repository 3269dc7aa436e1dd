//! Where a run keeps its logs, and how they get into error messages.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The console of Xen and Dom0, in the directory of a run.
pub const XEN_AND_DOM0: &str = "xen-dom0.log";
/// What QEMU itself had to say.
pub const QEMU: &str = "qemu.log";
/// How many lines of each log an error shows.
const TAIL: usize = 25;

/// A fresh directory for the logs of a run: `target/testbed/NAME-PID-N`. Those
/// of runs whose process is gone and that are not among the newest are removed.
pub fn make_dir(name: &str) -> Result<PathBuf> {
    let root = target_dir().join("testbed");
    fs::create_dir_all(&root).with_context(|| format!("cannot make {}", root.display()))?;
    prune(&root);
    let prefix = format!("{name}-{}-", std::process::id());
    let dir = tempfile::Builder::new().prefix(&prefix).tempdir_in(&root)?.keep();
    Ok(dir)
}

/// Cargo's target directory.
pub fn target_dir() -> PathBuf {
    let default = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../target");
    let dir = std::env::var_os("CARGO_TARGET_DIR").map_or_else(default, PathBuf::from);
    fs::canonicalize(&dir).unwrap_or(dir)
}

/// Best effort: old logs only take space.
fn prune(root: &Path) {
    let Ok(items) = fs::read_dir(root) else { return };
    let mut dirs: Vec<_> = items
        .flatten()
        .filter_map(|item| Some((item.metadata().ok()?.modified().ok()?, item.path())))
        .collect();
    dirs.sort();
    let keep = dirs.len().saturating_sub(KEPT);
    for (_, dir) in dirs.into_iter().take(keep).filter(|(_, dir)| !alive(dir)) {
        let _ = fs::remove_dir_all(dir);
    }
}

/// How many runs keep their logs.
const KEPT: usize = 20;

/// Whether the process that made the log directory `dir` still runs.
fn alive(dir: &Path) -> bool {
    let name = dir.file_name().unwrap_or_default().to_string_lossy();
    let pid = name.rsplit('-').nth(1).unwrap_or_default();
    Path::new("/proc").join(pid).exists()
}

/// The last lines of the logs in `dir`, with their paths: the end of a failure message.
pub fn describe(dir: &Path) -> String {
    let mut text = format!("logs of this run are in {}", dir.display());
    for name in [QEMU, XEN_AND_DOM0] {
        let path = dir.join(name);
        let log = fs::read(&path).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = log.lines().collect();
        let tail = &lines[lines.len().saturating_sub(TAIL)..];
        if !tail.is_empty() {
            let _ = write!(text, "\n--- the end of {}:\n{}", path.display(), tail.join("\n"));
        }
    }
    text
}
