//! A running Dom0.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};

use crate::command::{Command, Output};
use crate::dom0_image::Dom0Image;
use crate::emulator;
use crate::logs;
use crate::qemu::{self, Qemu, Share};
use crate::ssh::Ssh;

/// What a Dom0 is booted with.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// What the logs of the run are named after.
    pub name: String,
    /// A directory whose contents are copied to Dom0's root.
    pub install: Option<PathBuf>,
    /// The images under test, seen read-only at `/srv/images`.
    pub images: Option<PathBuf>,
    /// A directory that Dom0 sees, writable, at `/mnt/share`.
    pub share: Option<PathBuf>,
}

/// Xen and Dom0 in a QEMU of their own. Dropping it ends them.
#[derive(Debug)]
pub struct Dom0 {
    ssh: Ssh,
    logs: PathBuf,
    // Dropped last: the connection needs it.
    _qemu: Qemu,
}

impl Dom0 {
    /// Boots Xen and Dom0; returns when commands can be run.
    pub fn boot(options: &Options) -> Result<Self> {
        let image = Dom0Image::get()?;
        let logs = logs::make_dir(&options.name)?;
        let shares = shares(options, &logs);
        let boot = || {
            let qemu = boot_qemu(&image, &shares, &logs)?;
            let ssh = Ssh::connect(&image, qemu.ssh_port, logs.clone())?;
            Ok((qemu, ssh))
        };
        let (qemu, ssh) = boot().map_err(|error: anyhow::Error| {
            error.context(format!("Dom0 does not boot; {}", logs::describe(&logs)))
        })?;
        Ok(Self { ssh, logs, _qemu: qemu })
    }

    /// Runs a command to its end, with nothing on stdin.
    pub fn run(&self, args: impl IntoIterator<Item: Into<OsString>>) -> Result<Output> {
        self.command(args).run()
    }

    /// A command to be run here.
    pub fn command(&self, args: impl IntoIterator<Item: Into<OsString>>) -> Command<'_> {
        Command::new(self, args)
    }

    /// Runs a shell script to its end.
    pub fn shell(&self, script: &str) -> Result<Output> {
        self.run(["sh", "-c", script])
    }

    /// What `attempt` gives, which starts PVH guests and leaves none behind; tried
    /// again when the emulator has reset one of them, which Xen's console proves.
    pub fn despite_resets<T>(&self, attempt: impl FnMut() -> T) -> T {
        emulator::despite_resets(&self.logs, attempt, |_| true)
    }

    /// Writes a file in Dom0.
    pub fn write(&self, path: &str, bytes: impl Into<Vec<u8>>) -> Result<()> {
        let write = self.command(["sh", "-c", "cat >\"$1\"", "sh", path]).stdin(bytes);
        write.run()?.success().map(drop)
    }

    /// Reads a file in Dom0.
    pub fn read(&self, path: &str) -> Result<Vec<u8>> {
        Ok(self.run(["cat", "--", path])?.success()?.stdout)
    }

    /// Sends a signal, by number, to a process in Dom0.
    pub fn kill(&self, pid: i32, signal: i32) -> Result<()> {
        self.run(["kill", &format!("-{signal}"), &pid.to_string()])?.success().map(drop)
    }

    /// A login shell on this process's terminal; returns its exit code.
    pub fn login(&self) -> Result<i32> {
        let status = self.ssh.shell().status().context("cannot start ssh")?;
        status.code().ok_or_else(|| anyhow!("ssh was killed: {status}"))
    }

    /// The directory with the consoles of Xen and Dom0 and of every DomU.
    pub fn logs(&self) -> &Path {
        &self.logs
    }

    /// The connection that commands use.
    pub fn ssh(&self) -> &Ssh {
        &self.ssh
    }
}

/// The directories that `options` ask for, and the one for consoles.
fn shares(options: &Options, logs: &Path) -> Vec<Share> {
    let mut shares = vec![Share { tag: "logs", dir: logs.to_owned() }];
    let asked =
        [("install", &options.install), ("images", &options.images), ("share", &options.share)];
    for (tag, dir) in asked {
        shares.extend(dir.iter().map(|dir| Share { tag, dir: dir.clone() }));
    }
    shares
}

/// Starts QEMU, again if another process took its port meanwhile.
fn boot_qemu(image: &Dom0Image, shares: &[Share], logs: &Path) -> Result<Qemu> {
    loop {
        let mut qemu = Qemu::start(image, shares, logs)?;
        match qemu.wait_ready() {
            Err(_) if qemu::port_was_taken(logs) => {}
            ready => return ready.map(|()| qemu),
        }
    }
}
