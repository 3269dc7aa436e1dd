//! Commands in a terminal in Dom0.

use std::fs::File;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use nix::pty::{Winsize, openpty};

use crate::capture::Capture;
use crate::command::Command;
use crate::logs;

/// A command that runs in a terminal of its own, on which we type. Dropping it
/// hangs up the terminal.
#[derive(Debug)]
pub struct Pty<'a> {
    command: Command<'a>,
    deadline: Instant,
    child: Child,
    terminal: File,
    /// What has come on the terminal so far.
    pub output: Capture,
}

impl<'a> Pty<'a> {
    /// Starts `command` in a terminal of 24 lines and 80 columns.
    pub(crate) fn start(command: Command<'a>, timeout: Duration) -> Result<Self> {
        let deadline = Instant::now() + timeout;
        let size = Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };
        let pty = openpty(&size, None).context("cannot open a terminal")?;
        let terminal = File::from(pty.master);
        let mut ssh = command.dom0().ssh().command(command.terminal_line(), true);
        ssh.stdin(Stdio::from(pty.slave.try_clone()?)).stdout(Stdio::from(pty.slave.try_clone()?));
        ssh.stderr(Stdio::from(pty.slave)).process_group(0);
        let child = ssh.spawn().context("cannot start ssh")?;
        // It holds the other side of the terminal, whose close is the end of the output.
        drop(ssh);
        let output = Capture::start(terminal.try_clone()?);
        Ok(Self { command, deadline, child, terminal, output })
    }

    /// Types `text`; `\x03` is Ctrl-C, `\x04` Ctrl-D.
    pub fn send(&mut self, text: &str) -> Result<()> {
        self.terminal.write_all(text.as_bytes()).context("cannot write to the terminal")
    }

    /// Waits until `text` has come; the time-out is that of the command.
    pub fn expect(&self, text: &str) -> Result<()> {
        if !self.output.wait_for(text.as_bytes(), self.deadline) {
            bail!("{text:?} did not come: {}", self.describe());
        }
        Ok(())
    }

    /// Waits for the end of the command; returns its exit code.
    pub fn wait(mut self) -> Result<i32> {
        if !self.output.wait_end(self.deadline) {
            bail!("it did not end: {}", self.describe());
        }
        let status = self.child.wait().context("cannot wait for ssh")?;
        status.code().ok_or_else(|| anyhow!("ssh was killed: {status}"))
    }

    fn describe(&self) -> String {
        let output = self.output.bytes();
        let text = String::from_utf8_lossy(&output);
        format!("{}\n{text}\n{}", self.command, logs::describe(self.command.dom0().logs()))
    }
}

impl Drop for Pty<'_> {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}
