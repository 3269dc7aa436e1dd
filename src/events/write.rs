//! Appending to the journal.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use nix::fcntl::{Flock, FlockArg};

use super::{Event, directory, file};
use crate::state::rotated;

/// Bytes after which a new file is begun: some thousand events. One more is kept.
const MAX_SIZE: u64 = 1 << 20;

/// Writes down an event, below `root` (`/var/lib/vxn`). What was done is done, so a
/// journal that cannot be written is no failure of it, and is only warned of.
pub fn tell(root: &Path, event: &Event) {
    if let Err(e) = append(root, event, MAX_SIZE) {
        let (file, action) = (file(root), &event.action);
        tracing::warn!("the event {action} is not told: {}: {e}", file.display());
    }
}

pub(super) fn append(root: &Path, event: &Event, max_size: u64) -> io::Result<()> {
    let mut line = serde_json::to_vec(event)?;
    line.push(b'\n');
    let mut file = locked(root)?;
    if file.metadata()?.len() + line.len() as u64 > max_size {
        // Under the lock of the file that goes: whoever waits for it looks again.
        fs::rename(self::file(root), rotated::file(&self::file(root), 1))?;
        file = locked(root)?;
    }
    // One write, so that a reader sees all of a line or none.
    file.write_all(&line)
}

/// The current file, whose lock is held: no line goes to a file that is not current,
/// where a reader who has gone on would miss it.
fn locked(root: &Path) -> io::Result<Flock<File>> {
    let path = file(root);
    loop {
        let file = match open(&path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                fs::DirBuilder::new().recursive(true).mode(0o700).create(directory(root))?;
                open(&path)?
            }
            opened => opened?,
        };
        let file = Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, e)| e)?;
        let now = match fs::metadata(&path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
            now => now?,
        };
        if now.ino() == file.metadata()?.ino() {
            return Ok(file);
        }
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o600).open(path)
}
