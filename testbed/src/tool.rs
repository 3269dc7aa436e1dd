//! The one place of this crate that starts other programs.

use std::ffi::OsStr;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// A command that runs `program`, as yet without arguments.
#[expect(clippy::disallowed_methods, reason = "the one place that starts programs")]
pub fn command(program: impl AsRef<OsStr>) -> Command {
    Command::new(program)
}

/// A command that runs `program` as root: directly when we are root, else by sudo.
pub fn root_command(program: &str) -> Command {
    if nix::unistd::geteuid().is_root() {
        return command(program);
    }
    let mut sudo = command("sudo");
    sudo.arg(program);
    sudo
}

/// Whether `program` is found on `PATH`.
pub fn exists(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|dir| dir.join(program).is_file())
}

/// Runs `command` to its end. What it prints goes to our stderr: stdout is
/// for results.
pub fn run(command: &mut Command) -> Result<()> {
    command.stdin(Stdio::null()).stdout(std::io::stderr());
    let status = command.status().with_context(|| format!("cannot start {}", show(command)))?;
    if !status.success() {
        bail!("{} failed: {status}", show(command));
    }
    Ok(())
}

/// Runs `command` to its end and returns what it printed on stdout.
pub fn output(command: &mut Command) -> Result<Vec<u8>> {
    command.stdin(Stdio::null()).stderr(Stdio::piped());
    let output = command.output().with_context(|| format!("cannot start {}", show(command)))?;
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        bail!("{} failed: {}: {}", show(command), output.status, stderr.trim_end());
    }
    Ok(output.stdout)
}

/// The program and its first arguments, for messages.
fn show(command: &Command) -> String {
    let mut words: Vec<_> = vec![command.get_program().to_string_lossy()];
    words.extend(command.get_args().take(4).map(OsStr::to_string_lossy));
    words.join(" ")
}
