//! The ssh connection to Dom0: one, shared by all commands.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use crate::dom0_image::Dom0Image;
use crate::tool;

/// The master connection's socket. Relative, for its length is limited: every
/// ssh runs in the directory of the run.
const SOCKET: &str = "ssh";

/// An established connection.
#[derive(Debug)]
pub struct Ssh {
    dir: PathBuf,
}

impl Ssh {
    /// Logs in to the sshd at `port` and leaves the master in the background.
    pub fn connect(image: &Dom0Image, port: u16, dir: PathBuf) -> Result<Self> {
        let ssh = Self { dir };
        let mut master = ssh.base();
        let known_hosts = format!("UserKnownHostsFile={}", image.known_hosts().display());
        master.args(["-M", "-f", "-N", "-p", &port.to_string(), "-l", "root"]);
        master.arg("-i").arg(image.client_key());
        for option in [
            known_hosts.as_str(),
            "HostKeyAlias=dom0",
            "StrictHostKeyChecking=yes",
            "IdentitiesOnly=yes",
            "IdentityAgent=none",
            "BatchMode=yes",
            // The cheapest under emulation, which has no AES instructions.
            "KexAlgorithms=curve25519-sha256",
            "Ciphers=chacha20-poly1305@openssh.com",
        ] {
            master.args(["-o", option]);
        }
        master.arg("127.0.0.1").process_group(0);
        tool::run(&mut master).context("cannot log in to Dom0")?;
        Ok(ssh)
    }

    /// An ssh that runs `line` in Dom0's shell; in a terminal there if `tty`.
    pub fn command(&self, line: OsString, tty: bool) -> Command {
        let mut ssh = self.base();
        // "-e none": no byte of the input is an escape character.
        ssh.args(["-e", "none", if tty { "-tt" } else { "-T" }, "dom0"]).arg(line);
        ssh
    }

    /// An ssh that gives the user of this terminal a login shell in Dom0.
    pub fn shell(&self) -> Command {
        let mut ssh = self.base();
        ssh.args(["-t", "dom0", "exec bash -l"]);
        ssh
    }

    /// Whether the master connection still stands.
    pub fn is_alive(&self) -> bool {
        let mut check = self.base();
        check.args(["-O", "check", "dom0"]).stdin(Stdio::null()).stderr(Stdio::null());
        check.status().is_ok_and(|status| status.success())
    }

    fn base(&self) -> Command {
        let mut ssh = tool::command("ssh");
        ssh.args(["-F", "none", "-S", SOCKET, "-o", "LogLevel=ERROR"]).current_dir(&self.dir);
        ssh
    }
}

/// `word` as one word for a POSIX shell, whatever bytes it is made of.
pub fn quote(word: &[u8]) -> Vec<u8> {
    let mut quoted = vec![b'\''];
    for &byte in word {
        if byte == b'\'' {
            quoted.extend_from_slice(b"'\\''");
        } else {
            quoted.push(byte);
        }
    }
    quoted.push(b'\'');
    quoted
}

/// `words`, quoted, as one shell command line.
pub fn line<'a>(words: impl IntoIterator<Item = &'a [u8]>) -> OsString {
    let words: Vec<Vec<u8>> = words.into_iter().map(quote).collect();
    OsString::from_vec(words.join(&b' '))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_words_come_through_a_shell_unchanged() {
        let all: Vec<u8> = (1..=255).collect();
        for word in [&b""[..], b"a b", b"'", b"\"$HOME\" `id` \\", b"a\nb\n", b"-n", &all] {
            let script = line([&b"printf"[..], b"%s", word]);
            let printed = tool::output(tool::command("sh").arg("-c").arg(script)).unwrap();
            assert_eq!(printed, word);
        }
    }
}
