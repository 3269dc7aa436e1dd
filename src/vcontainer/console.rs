//! The console of a DomU, held by its monitor alone.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::fcntl::OFlag;
use nix::poll::PollFlags;
use nix::sys::termios::{SetArg, cfmakeraw, tcgetattr, tcsetattr};

use crate::state::LockFile;

/// Opens the file that a console's output and a monitor's words are added to.
pub fn open_log(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o600).open(path)
}

/// The pty that xenconsoled made, never blocking, and what the guest has not taken.
#[derive(Debug)]
pub struct Console {
    tty: File,
    pending: Vec<u8>,
    open: bool,
    _lock: LockFile,
}

impl Console {
    /// Opens the pty; `lock` keeps other readers out.
    pub fn open(path: &Path, lock: LockFile) -> io::Result<Console> {
        let flags = (OFlag::O_NONBLOCK | OFlag::O_NOCTTY).bits();
        let tty = OpenOptions::new().read(true).write(true).custom_flags(flags).open(path)?;
        let mut settings = tcgetattr(&tty)?;
        cfmakeraw(&mut settings);
        tcsetattr(&tty, SetArg::TCSANOW, &settings)?;
        Ok(Console { tty, pending: Vec::new(), open: true, _lock: lock })
    }

    /// What to poll for, while there is somebody at the other end.
    pub fn wanted(&self) -> Option<(BorrowedFd<'_>, PollFlags)> {
        let mut wanted = PollFlags::POLLIN;
        wanted.set(PollFlags::POLLOUT, !self.pending.is_empty());
        self.open.then(|| (self.tty.as_fd(), wanted))
    }

    /// What the guest has printed.
    pub fn read(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut buffer = [0; 4096];
        while self.open {
            match self.tty.read(&mut buffer) {
                Ok(0) => self.open = false,
                Ok(length) => bytes.extend(&buffer[..length]),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
                // EIO: xenconsoled has closed its end.
                Err(_) => self.open = false,
            }
        }
        bytes
    }

    /// Writes as much as goes; the rest follows with [`Console::flush`].
    pub fn write(&mut self, bytes: &[u8]) {
        self.pending.extend(bytes);
        self.flush();
    }

    /// Goes on writing.
    pub fn flush(&mut self) {
        while !self.pending.is_empty() {
            match self.tty.write(&self.pending) {
                Ok(length) => drop(self.pending.drain(..length)),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                // What a closed console did not take, nobody will.
                Err(_) => break,
            }
        }
    }
}
