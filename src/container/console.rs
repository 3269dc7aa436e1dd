//! The tail of a DomU's kernel log, kept for when the guest fails and for those who
//! look at it.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::libxl::DomId;
use crate::state::LockFile;

/// Bytes kept: a boot of Linux, and then some.
pub const KEPT: usize = 64 * 1024;
/// Bytes taken at a time, however much the guest says.
const BATCH: usize = 64 * 1024;
/// The kernel log of a container's last life, in the container's directory.
const LAST: &str = "console.log";
/// Lines shown.
const SHOWN: usize = 20;
/// How long the last words of a dead guest may take through xenconsoled.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// Where Xen's own client, xenconsole, keeps its locks.
const LOCKS: &str = "/var/lock";

/// Takes the lock of a domain's console, which xenconsole takes as well: two
/// readers would take bytes from each other.
pub fn lock(domid: DomId) -> io::Result<LockFile> {
    lock_in(Path::new(LOCKS), domid)
}

fn lock_in(dir: &Path, domid: DomId) -> io::Result<LockFile> {
    let path = dir.join(format!("xenconsole.{domid}"));
    let at = |e| io::Error::other(format!("cannot lock {}: {e}", path.display()));
    LockFile::try_exclusive(&path).map_err(at)?.ok_or_else(|| {
        io::Error::other(format!("the console of domain {domid} is in use by somebody else"))
    })
}

/// A reader of the console's pty that never blocks.
#[derive(Debug)]
pub struct ConsoleLog {
    tty: File,
    tail: VecDeque<u8>,
    open: bool,
}

impl ConsoleLog {
    /// Opens the pty that xenconsoled made for the DomU.
    pub fn open(tty: &Path) -> io::Result<ConsoleLog> {
        let flags = (nix::fcntl::OFlag::O_NONBLOCK | nix::fcntl::OFlag::O_NOCTTY).bits();
        let tty = OpenOptions::new().read(true).custom_flags(flags).open(tty)?;
        Ok(ConsoleLog { tty, tail: VecDeque::new(), open: true })
    }

    /// The pty, while there is somebody at its other end.
    pub fn as_fd(&self) -> Option<BorrowedFd<'_>> {
        self.open.then(|| self.tty.as_fd())
    }

    /// Takes what is there, a batch at most, and returns it.
    pub fn drain(&mut self) -> Vec<u8> {
        let (mut buffer, mut taken) = ([0; 4096], Vec::new());
        while self.open && taken.len() < BATCH {
            match self.tty.read(&mut buffer) {
                Ok(0) => self.open = false,
                Ok(length) => taken.extend_from_slice(&buffer[..length]),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
                // EIO: xenconsoled has closed its end.
                Err(_) => self.open = false,
            }
        }
        self.tail.extend(&taken);
        let excess = self.tail.len().saturating_sub(KEPT);
        self.tail.drain(..excess);
        taken
    }

    /// What is kept of it.
    pub fn kept(&self) -> Vec<u8> {
        self.tail.iter().copied().collect()
    }

    /// Waits until xenconsoled has passed on a dead guest's last words, and returns
    /// them: it closes the pty after them, or half a second goes by.
    pub fn last_words(&mut self) -> Vec<u8> {
        let deadline = Instant::now() + LAST_WORDS;
        let mut words = self.drain();
        while let Some(tty) = self.as_fd() {
            let left = deadline.saturating_duration_since(Instant::now());
            let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::ZERO);
            match poll(&mut [PollFd::new(tty, PollFlags::POLLIN)], timeout) {
                Ok(0) => break,
                Ok(_) | Err(Errno::EINTR) => words.extend(self.drain()),
                Err(_) => break,
            }
        }
        words
    }

    /// The last lines of what is kept.
    pub fn last_lines(&self) -> Vec<String> {
        lines(&self.kept())
    }
}

/// Keeps the kernel log of a life that ends in `home`, the container's directory.
pub fn keep(home: &Path, log: &[u8]) -> io::Result<()> {
    fs::write(home.join(LAST), log)
}

/// The kernel log of the container's last life, if it had one.
pub fn last(home: &Path) -> io::Result<Option<Vec<u8>>> {
    match fs::read(home.join(LAST)) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        read => read.map(Some),
    }
}

/// The last lines of what a guest wrote, safe to show on a terminal.
fn lines(bytes: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(bytes);
    let shown = |line: &str| -> String {
        line.chars().map(|c| if c.is_control() && c != '\t' { '\u{fffd}' } else { c }).collect()
    };
    let lines: Vec<String> = text
        .lines()
        .map(|l| l.trim_end_matches('\r'))
        .filter(|l| !l.is_empty())
        .map(shown)
        .collect();
    lines[lines.len().saturating_sub(SHOWN)..].to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_reader_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let held = lock_in(dir.path(), DomId(7)).unwrap();
        let error = lock_in(dir.path(), DomId(7)).err().unwrap().to_string();
        assert_eq!(error, "the console of domain 7 is in use by somebody else");
        assert!(lock_in(dir.path(), DomId(8)).is_ok());
        drop(held);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
        assert!(lock_in(dir.path(), DomId(7)).is_ok());
    }

    #[test]
    fn the_last_lines_are_shown_without_control_characters() {
        let text: String = (0..30).map(|n| format!("line {n}\r\n")).collect();
        let shown = lines(format!("{text}\x1b[2Jend\n").as_bytes());
        assert_eq!(shown.len(), SHOWN);
        assert_eq!(shown.last().unwrap(), "\u{fffd}[2Jend");
        assert_eq!(shown[0], "line 11");
        assert_eq!(lines(b"\xff\xfe"), ["\u{fffd}\u{fffd}"]);
    }
}
