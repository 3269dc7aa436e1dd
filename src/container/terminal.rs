//! The user's terminal: its size, and its raw mode while a container has it.

use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use nix::sys::termios::{
    LocalFlags, OutputFlags, SetArg, Termios, cfmakeraw, tcgetattr, tcsetattr,
};
use vxn_proto::WindowSize;

/// The size of the terminal that this process has as stdin.
pub fn size() -> Option<WindowSize> {
    let size = terminal_size::terminal_size_of(io::stdin())?;
    Some(WindowSize { rows: size.1.0, columns: size.0.0 })
}

/// Makes the terminal that this process has as stdin its controlling one, which tells
/// it of each new size and of its end. For the leader of a session without one.
///
/// # Errors
/// stdin is no terminal, or another session has it.
pub fn take() -> io::Result<()> {
    let path = nix::unistd::ttyname(io::stdin())?;
    // Opening it is enough, and a second descriptor of it is not needed.
    fs::File::open(path).map(drop)
}

/// A terminal in raw mode: every key goes to the container, Ctrl-C too. It is put
/// back when this is dropped, on every way out that a program can see.
#[derive(Debug)]
pub struct RawMode {
    terminal: OwnedFd,
    before: Termios,
}

impl RawMode {
    /// Sets the terminal that this process has as stdin.
    pub fn enter() -> io::Result<RawMode> {
        RawMode::set(false)
    }

    /// The same, but Ctrl-C and its like are signals, and what is written starts its
    /// lines at the left: for a terminal at which only keys that leave are typed.
    pub fn with_signals() -> io::Result<RawMode> {
        RawMode::set(true)
    }

    fn set(signals: bool) -> io::Result<RawMode> {
        let terminal = io::stdin().as_fd().try_clone_to_owned()?;
        let before = tcgetattr(&terminal)?;
        let mut raw = before.clone();
        cfmakeraw(&mut raw);
        raw.local_flags.set(LocalFlags::ISIG, signals);
        raw.output_flags.set(OutputFlags::OPOST, signals);
        tcsetattr(&terminal, SetArg::TCSANOW, &raw)?;
        Ok(RawMode { terminal, before })
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        // A terminal that has hung up needs no mode.
        let _ = tcsetattr(&self.terminal, SetArg::TCSADRAIN, &self.before);
    }
}
