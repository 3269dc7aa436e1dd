//! `vxn domain console`: this terminal as the console of a domain.
//!
//! xenconsoled keeps the console in a pseudo terminal. Two readers would take
//! bytes from each other, so there is one at a time: the holder of the lock file
//! that Xen's own client, xenconsole, takes as well.

use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::termios::{SetArg, Termios, cfmakeraw, tcgetattr, tcsetattr};

use crate::container::console::lock;
use crate::libxl::DomId;
use crate::xenstore::{Xenstore, paths};

/// Ctrl-]
const ESCAPE: u8 = 0x1d;

/// How long xenconsoled may take to make a terminal for a new domain.
const TTY_DEADLINE: Duration = Duration::from_secs(5);

/// What the user typed and the domain has not taken yet, in bytes.
const MAX_PENDING: usize = 64 << 10;

/// Connects this terminal to the console of a domain until the console ends, the
/// user presses Ctrl-] or a signal comes. Without a terminal it only shows.
pub fn attach(store: &Xenstore, domid: DomId) -> Result<ExitCode> {
    let _lock = lock(domid)?;
    let path = tty(store, domid)?;
    let tty = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(libc::O_NOCTTY | libc::O_NONBLOCK)
        .open(&path)
        .with_context(|| format!("cannot open the console {}", path.display()))?;
    if let Ok(mut settings) = tcgetattr(&tty) {
        cfmakeraw(&mut settings);
        tcsetattr(&tty, SetArg::TCSANOW, &settings)?;
    }
    let signals = catch_signals()?;
    let raw = RawTerminal::new()?;
    let keyboard = raw.is_some();
    Session { tty, signals, keyboard, pending: Vec::new() }.run()
}

/// The terminal that xenconsoled made, once it has.
fn tty(store: &Xenstore, domid: DomId) -> Result<PathBuf> {
    let node = paths::console_tty(domid.0);
    let deadline = Instant::now() + TTY_DEADLINE;
    let watch = store.watch(&node)?;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if watch.wait(Some(left))?.is_none() {
            bail!("domain {domid} has no console (is xenconsoled running?)");
        }
        if let Some(path) = store.read(&node)?.filter(|path| !path.is_empty()) {
            return Ok(String::from_utf8(path).context("the path of the console")?.into());
        }
    }
}

/// Signals that end a program come as bytes from now on, so that the terminal is
/// put right before this one ends.
fn catch_signals() -> Result<SignalFd> {
    let mut set = SigSet::empty();
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGQUIT] {
        set.add(signal);
    }
    set.thread_block()?;
    Ok(SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?)
}

/// The user's terminal without echo, lines and signals, put right again on drop.
struct RawTerminal(Termios);

impl RawTerminal {
    /// None when there is no terminal to type at, or none to look at.
    fn new() -> Result<Option<RawTerminal>> {
        let stdin = io::stdin();
        if !stdin.is_terminal() || !io::stdout().is_terminal() {
            return Ok(None);
        }
        let before = tcgetattr(&stdin).context("cannot read the terminal's settings")?;
        let mut settings = before.clone();
        cfmakeraw(&mut settings);
        tcsetattr(&stdin, SetArg::TCSANOW, &settings).context("cannot set the terminal")?;
        Ok(Some(RawTerminal(before)))
    }
}

impl Drop for RawTerminal {
    fn drop(&mut self) {
        let _ = tcsetattr(io::stdin(), SetArg::TCSANOW, &self.0);
    }
}

/// Whether to go on.
enum Next {
    More,
    End(ExitCode),
}

struct Session {
    tty: File,
    signals: SignalFd,
    keyboard: bool,
    pending: Vec<u8>,
}

impl Session {
    fn run(mut self) -> Result<ExitCode> {
        loop {
            let [tty, signals, keyboard] = self.wait()?;
            if !signals.is_empty() {
                if let Some(info) = self.signals.read_signal()? {
                    return Ok(ExitCode::from(128 + info.ssi_signo as u8));
                }
            }
            if !keyboard.is_empty() {
                if let Next::End(code) = self.read_keyboard()? {
                    return Ok(code);
                }
            }
            if tty.contains(PollFlags::POLLOUT) {
                self.write_pending()?;
            }
            if tty.intersects(PollFlags::POLLIN | PollFlags::POLLHUP | PollFlags::POLLERR) {
                if let Next::End(code) = self.show()? {
                    return Ok(code);
                }
            }
        }
    }

    /// What is ready: the console, the signals, the keyboard.
    fn wait(&self) -> Result<[PollFlags; 3]> {
        let mut wanted = PollFlags::POLLIN;
        wanted.set(PollFlags::POLLOUT, !self.pending.is_empty());
        let typing = self.keyboard && self.pending.len() < MAX_PENDING;
        let stdin = io::stdin();
        let mut fds = vec![
            PollFd::new(self.tty.as_fd(), wanted),
            PollFd::new(self.signals.as_fd(), PollFlags::POLLIN),
        ];
        if typing {
            fds.push(PollFd::new(stdin.as_fd(), PollFlags::POLLIN));
        }
        match poll(&mut fds, PollTimeout::NONE) {
            Ok(_) | Err(nix::Error::EINTR) => {}
            Err(e) => return Err(e.into()),
        }
        let ready = |i: usize| fds.get(i).and_then(PollFd::revents).unwrap_or(PollFlags::empty());
        Ok([ready(0), ready(1), ready(2)])
    }

    fn read_keyboard(&mut self) -> Result<Next> {
        let mut typed = [0; 1024];
        let typed = match nix::unistd::read(io::stdin(), &mut typed) {
            Ok(0) => return Ok(Next::End(ExitCode::SUCCESS)),
            Ok(n) => &typed[..n],
            Err(nix::Error::EINTR | nix::Error::EAGAIN) => return Ok(Next::More),
            Err(e) => return Err(e).context("cannot read the terminal"),
        };
        if typed.contains(&ESCAPE) {
            return Ok(Next::End(ExitCode::SUCCESS));
        }
        self.pending.extend(typed);
        Ok(Next::More)
    }

    fn write_pending(&mut self) -> Result<()> {
        match self.tty.write(&self.pending) {
            Ok(n) => drop(self.pending.drain(..n)),
            Err(e) if is_transient(&e) => {}
            Err(e) => return Err(e).context("cannot write to the console"),
        }
        Ok(())
    }

    /// Shows what the domain printed. The console ends with its domain.
    fn show(&mut self) -> Result<Next> {
        let mut bytes = [0; 4096];
        let n = match self.tty.read(&mut bytes) {
            Ok(0) => return Ok(Next::End(ExitCode::SUCCESS)),
            Ok(n) => n,
            // How a pseudo terminal says that its other end was closed.
            Err(e) if e.raw_os_error() == Some(libc::EIO) => {
                return Ok(Next::End(ExitCode::SUCCESS));
            }
            Err(e) if is_transient(&e) => return Ok(Next::More),
            Err(e) => return Err(e).context("cannot read the console"),
        };
        let mut stdout = io::stdout().lock();
        stdout.write_all(&bytes[..n])?;
        stdout.flush()?;
        Ok(Next::More)
    }
}

fn is_transient(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_terminal_ends_the_session() {
        let pty = nix::pty::openpty(None, None).unwrap();
        let signals = SignalFd::with_flags(&SigSet::empty(), SfdFlags::SFD_NONBLOCK).unwrap();
        let tty = File::from(pty.slave);
        drop(pty.master);
        let session = Session { tty, signals, keyboard: false, pending: Vec::new() };
        assert_eq!(format!("{:?}", session.run().unwrap()), format!("{:?}", ExitCode::SUCCESS));
    }
}
