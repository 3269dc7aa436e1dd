//! What is slow to make is made once: directories keyed by a digest of their recipe.

use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, anyhow};
use nix::fcntl::{Flock, FlockArg};
use sha2::{Digest, Sha256};

/// Entries that no run has used for so long are removed when a new one is made.
const UNUSED: Duration = Duration::from_secs(14 * 24 * 3600);

/// The cache: `VXN_TESTBED_CACHE`, else `vxn-testbed` in the user's cache directory.
pub fn root() -> Result<PathBuf> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("VXN_TESTBED_CACHE")
        .or_else(|| Some(set("XDG_CACHE_HOME")?.join("vxn-testbed")))
        .or_else(|| Some(set("HOME")?.join(".cache/vxn-testbed")))
        .ok_or_else(|| anyhow!("no place for the cache: set VXN_TESTBED_CACHE"))
}

/// The directory `KIND-DIGEST` of the cache. When it is missing, `build` fills
/// it, once even when several processes ask at the same time, and it appears
/// whole or not at all. `recipe` is everything that `build` depends on.
pub fn entry<'a>(
    kind: &str,
    recipe: impl IntoIterator<Item = &'a [u8]>,
    build: impl FnOnce(&Path) -> Result<()>,
) -> Result<PathBuf> {
    let root = root()?;
    let dir = root.join(name(kind, recipe));
    if in_use(&dir) {
        return Ok(dir);
    }
    create_dirs(&root)?;
    let _lock = lock(&root.join(format!("{kind}.lock")), kind)?;
    if in_use(&dir) {
        return Ok(dir);
    }
    let tmp = tempfile::Builder::new()
        .prefix(&format!(".{kind}-"))
        .tempdir_in(&root)
        .with_context(|| format!("cannot make a directory in {}", root.display()))?;
    build(tmp.path())?;
    fs::rename(tmp.path(), &dir).with_context(|| format!("cannot place {}", dir.display()))?;
    in_use(&dir);
    prune(&root, kind)?;
    Ok(dir)
}

/// The directory that [`entry`] would return, if it is there already.
pub fn cached<'a>(
    kind: &str,
    recipe: impl IntoIterator<Item = &'a [u8]>,
) -> Result<Option<PathBuf>> {
    let dir = root()?.join(name(kind, recipe));
    Ok(in_use(&dir).then_some(dir))
}

/// Whether `dir` is there; if so, notes the time of this use in its mtime.
fn in_use(dir: &Path) -> bool {
    let Ok(file) = fs::File::open(dir) else { return false };
    // The note only keeps the entry from being pruned.
    let _ = file.set_modified(SystemTime::now());
    true
}

fn create_dirs(root: &Path) -> Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(root)
        .with_context(|| format!("cannot make the cache {}", root.display()))
}

/// Takes the lock of all builds of one kind; says so when it has to wait.
fn lock(path: &Path, kind: &str) -> Result<Flock<fs::File>> {
    let open = || fs::File::create(path).with_context(|| format!("cannot open {}", path.display()));
    match Flock::lock(open()?, FlockArg::LockExclusiveNonblock) {
        Ok(lock) => return Ok(lock),
        Err(_) => eprintln!("testbed: waiting for another process that builds {kind}"),
    }
    Flock::lock(open()?, FlockArg::LockExclusive)
        .map_err(|(_, errno)| anyhow!("cannot lock {}: {errno}", path.display()))
}

/// Removes what builds that were killed, or entries of old recipes, left behind.
fn prune(root: &Path, kind: &str) -> Result<()> {
    for item in fs::read_dir(root)? {
        let item = item?;
        let name = item.file_name().to_string_lossy().into_owned();
        let old = item.metadata()?.modified()?.elapsed().is_ok_and(|age| age > UNUSED);
        let ours = name.starts_with(&format!("{kind}-")) && old;
        // We hold the lock of this kind: nobody else is building one.
        if ours || name.starts_with(&format!(".{kind}-")) {
            fs::remove_dir_all(item.path())
                .with_context(|| format!("cannot remove {}", item.path().display()))?;
        }
    }
    Ok(())
}

/// KIND-DIGEST. Parts are hashed with their lengths, so that moving a byte from
/// one to the next makes another digest.
fn name<'a>(kind: &str, recipe: impl IntoIterator<Item = &'a [u8]>) -> String {
    let mut hasher = Sha256::new();
    for part in recipe {
        hasher.update((part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    let digest: String =
        hasher.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    format!("{kind}-{digest}")
}
