//! The one place that starts other programs. Tools are found by absolute path,
//! run without a shell, die with us, and fail with their own last words.

mod sys;

use std::collections::VecDeque;
use std::ffi::OsString;
use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::thread::JoinHandle;

use nix::unistd::{AccessFlags, access};

/// Copies images between registries, archives and OCI layouts.
pub const SKOPEO: Tool = Tool { name: "skopeo", package: "skopeo" };
/// Makes a squashfs image of a tar stream.
pub const SQFSTAR: Tool = Tool { name: "sqfstar", package: "squashfs-tools" };
/// Makes an EROFS image of a tar stream, if it is of erofs-utils 1.7 or later.
pub const MKFS_EROFS: Tool = Tool { name: "mkfs.erofs", package: "erofs-utils" };
/// Makes an empty file system in a container's writable disk.
pub const MKE2FS: Tool = Tool { name: "mke2fs", package: "e2fsprogs" };

/// Changes the kernel's packet filter and address translation.
pub const NFT: Tool = Tool { name: "nft", package: "nftables" };
/// Unpacks a squashfs image.
pub const UNSQUASHFS: Tool = Tool { name: "unsquashfs", package: "squashfs-tools" };
/// Makes a squashfs image of a directory.
pub const MKSQUASHFS: Tool = Tool { name: "mksquashfs", package: "squashfs-tools" };
/// Asks web servers.
pub const CURL: Tool = Tool { name: "curl", package: "curl" };

/// A program of another project that vxn needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tool {
    /// The file name that is looked up on `PATH`.
    pub name: &'static str,
    /// The Debian package that has it.
    pub package: &'static str,
}

/// Why a tool gave no result.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No such program on `PATH`.
    #[error("{} is not installed", .0.name)]
    Missing(Tool),
    /// The kernel did not start it, or a pipe to it failed.
    #[error("{tool}: {source}")]
    Io {
        /// The tool's name.
        tool: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
    /// It ran and failed.
    #[error("{tool}: {}", last_words(.words).unwrap_or(format!("failed without a word ({status})")))]
    Failed {
        /// The tool's name.
        tool: &'static str,
        /// How it ended.
        status: ExitStatus,
        /// The end of its standard error.
        words: String,
    },
}

impl Error {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Error::Missing(tool) => Some(format!("apt-get install {}", tool.package)),
            _ => None,
        }
    }
}

/// The last two lines as one: sqfstar says why before it says what.
fn last_words(words: &str) -> Option<String> {
    let lines: Vec<&str> = words.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    (!lines.is_empty()).then(|| lines[lines.len().saturating_sub(2)..].join("; "))
}

/// Where `PATH` is unset, as for a runtime that containerd starts.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

impl Tool {
    /// The tool's absolute path.
    pub fn find(&self) -> Result<PathBuf, Error> {
        let path = std::env::var_os("PATH").unwrap_or_else(|| OsString::from(DEFAULT_PATH));
        std::env::split_paths(&path)
            .filter(|dir| dir.is_absolute())
            .map(|dir| dir.join(self.name))
            .find(|file| file.is_file() && access(file, AccessFlags::X_OK).is_ok())
            .ok_or(Error::Missing(*self))
    }

    /// A command for the tool, with no arguments yet, that will speak English
    /// and reads and writes nothing until told to.
    pub fn command(&self) -> Result<Command, Error> {
        let mut command = command(&self.find()?);
        command.env("LC_ALL", "C").stdin(Stdio::null()).stdout(Stdio::null());
        Ok(command)
    }

    /// Starts `command`, which [`Tool::command`] made and the caller has given
    /// a standard input and output. Standard error is captured. The child is
    /// killed when the calling thread ends.
    pub fn start(&self, command: &mut Command) -> Result<Running, Error> {
        let fail = |source| Error::Io { tool: self.name, source };
        sys::die_with_parent(command);
        command.stderr(Stdio::piped());
        let mut child = command.spawn().map_err(fail)?;
        let words = child.stderr.take().map(|err| std::thread::spawn(move || tail(err)));
        Ok(Running { tool: self.name, child, words })
    }
}

/// A bare command for one of vxn's own programs.
#[expect(clippy::disallowed_methods, reason = "this is the one place")]
pub fn command(program: &Path) -> Command {
    Command::new(program)
}

/// This program again, under its own name, with no arguments yet.
pub fn this_program() -> io::Result<Command> {
    let mut command = command(&std::env::current_exe()?);
    command.arg0("vxn");
    Ok(command)
}

/// A tool at work. Dropping it kills and reaps it.
#[derive(Debug)]
pub struct Running {
    tool: &'static str,
    child: Child,
    words: Option<JoinHandle<String>>,
}

impl Running {
    /// The writing end of its standard input, once, if that is a pipe.
    /// Dropping it is the end of input.
    pub fn stdin(&mut self) -> Option<ChildStdin> {
        self.child.stdin.take()
    }

    /// The reading end of its standard output, once. A tool that writes
    /// more than a pipe holds waits for its reader.
    pub fn stdout(&mut self) -> Option<ChildStdout> {
        self.child.stdout.take()
    }

    /// Waits for the end and returns the end of standard error, for warnings.
    pub fn wait(mut self) -> Result<String, Error> {
        drop(self.child.stdin.take());
        let status = self.child.wait().map_err(|source| Error::Io { tool: self.tool, source })?;
        let words = self.words();
        if status.success() {
            return Ok(words);
        }
        Err(Error::Failed { tool: self.tool, status, words })
    }

    fn words(&mut self) -> String {
        self.words.take().and_then(|reader| reader.join().ok()).unwrap_or_default()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail only for a child that has already been waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.words();
    }
}

/// How much of a tool's standard error is kept.
const TAIL: usize = 16 * 1024;

/// Reads to the end and keeps the last [`TAIL`] bytes.
fn tail(mut from: impl Read) -> String {
    let mut kept = VecDeque::new();
    let mut buffer = [0; 4096];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(n) => kept.extend(&buffer[..n]),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => break,
        }
        kept.drain(..kept.len().saturating_sub(TAIL));
    }
    String::from_utf8_lossy(kept.make_contiguous()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    const CAT: Tool = Tool { name: "cat", package: "coreutils" };
    const LS: Tool = Tool { name: "ls", package: "coreutils" };

    fn cat() -> Running {
        let mut command = CAT.command().unwrap();
        CAT.start(command.stdin(Stdio::piped()).stdout(Stdio::piped())).unwrap()
    }

    #[test]
    fn streams_through_a_tool() {
        let mut cat = cat();
        let mut stdin = cat.stdin().unwrap();
        let writer = std::thread::spawn(move || stdin.write_all(&[7; 300_000]));
        let mut out = Vec::new();
        cat.stdout().unwrap().read_to_end(&mut out).unwrap();
        writer.join().unwrap().unwrap();
        assert_eq!(out.len(), 300_000);
        assert_eq!(cat.wait().unwrap(), "");
    }

    #[test]
    fn failure_carries_the_last_words() {
        let mut command = LS.command().unwrap();
        command.arg("/no/such/file");
        let error = LS.start(&mut command).unwrap().wait().unwrap_err();
        let text = error.to_string();
        assert!(text.starts_with("ls: "), "{text}");
        assert!(text.ends_with("No such file or directory"), "{text}");
        assert_eq!(error.hint(), None);
    }

    #[test]
    fn a_missing_tool_names_its_package() {
        let tool = Tool { name: "vxn-no-such-tool", package: "vxn-tools" };
        let error = tool.command().unwrap_err();
        assert_eq!(error.to_string(), "vxn-no-such-tool is not installed");
        assert_eq!(error.hint().unwrap(), "apt-get install vxn-tools");
    }

    #[test]
    fn a_dropped_tool_is_dead() {
        let cat = cat();
        let pid = nix::unistd::Pid::from_raw(cat.child.id() as i32);
        drop(cat);
        assert_eq!(nix::sys::signal::kill(pid, None), Err(nix::errno::Errno::ESRCH));
    }

    #[test]
    fn the_tail_is_bounded() {
        let text = tail(io::repeat(b'x').take(1 << 20).chain(&b"\nend"[..]));
        assert!(text.len() <= TAIL && text.ends_with("\nend"));
    }
}
