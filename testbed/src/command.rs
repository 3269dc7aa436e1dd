//! Commands in Dom0.

use std::ffi::OsString;
use std::fmt;
use std::io::{Read, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Stdio};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};

use crate::capture::Capture;
use crate::dom0::Dom0;
use crate::pty::Pty;
use crate::{emulator, logs, ssh};

/// How long a command may take when it has no time-out of its own.
const TIMEOUT: Duration = Duration::from_secs(180);

/// Runs a command below the shell that ssh starts, and says its pid on stderr
/// first, so that a signal can be sent to it. The outer shell turns death by a
/// signal into 128 + n, and must not comment on it.
const WRAPPER: &[u8] =
    b"exec 3>&2 2>/dev/null; (exec 2>&3 3>&-; exec sh -c 'echo $$ >&2; exec \"$@\"' sh ";
/// The same in a terminal, without the pid. The shell must survive what the
/// keyboard sends to the command; a trap, unlike ignoring, is not inherited.
const TERMINAL: &[u8] = b"exec 3>&2 2>/dev/null; trap : HUP INT QUIT; (exec 2>&3 3>&-; exec ";
const WRAPPER_END: &[u8] = b"); exit $?";

/// A command to run in Dom0, and how.
#[derive(Debug, Clone)]
#[must_use]
pub struct Command<'a> {
    dom0: &'a Dom0,
    args: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
    stdin: Vec<u8>,
    timeout: Duration,
}

impl<'a> Command<'a> {
    pub(crate) fn new(dom0: &'a Dom0, args: impl IntoIterator<Item: Into<OsString>>) -> Self {
        let args = args.into_iter().map(Into::into).collect();
        Self { dom0, args, env: Vec::new(), stdin: Vec::new(), timeout: TIMEOUT }
    }

    /// Adds arguments: any bytes but NUL.
    pub fn args(mut self, args: impl IntoIterator<Item: Into<OsString>>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Sets an environment variable.
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// What [`run`](Self::run) gives the command to read; nothing by default.
    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = bytes.into();
        self
    }

    /// How long the command may take; 180 s by default.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Runs the command to its end. A failing command is not an error of this
    /// function: see [`Output::success`]. When the emulator has reset the DomU,
    /// which Xen's console proves, the command is run again.
    pub fn run(self) -> Result<Output> {
        let reset = |output: &Result<Output>| output.as_ref().is_ok_and(emulator::tells_of_reset);
        emulator::despite_resets(self.dom0.logs(), || self.clone().run_once(), reset)
    }

    fn run_once(mut self) -> Result<Output> {
        let stdin = std::mem::take(&mut self.stdin);
        let mut running = self.spawn()?;
        running.write_in_background(stdin)?;
        running.wait()
    }

    /// Starts the command; its stdin stays open.
    pub fn spawn(self) -> Result<Running<'a>> {
        let mut running = Running::start(self, Stdio::piped())?;
        running.stdout = running.child.stdout.take().map_or_else(Capture::default, Capture::start);
        running.stderr = running.child.stderr.take().map_or_else(Capture::default, Capture::start);
        Ok(running)
    }

    /// Starts the command with its stdout and stderr going to ours. Its stdin
    /// stays open.
    pub fn spawn_inherited(self) -> Result<Running<'a>> {
        let mut running = Running::start(self, Stdio::inherit())?;
        if let Some(mut stderr) = running.child.stderr.take() {
            running.copier = Some(thread::spawn(move || {
                // Fails if our own stderr is closed: nobody wants to know.
                let _ = std::io::copy(&mut stderr, &mut std::io::stderr());
            }));
        }
        Ok(running)
    }

    /// Starts the command in a terminal of its own.
    pub fn spawn_pty(self) -> Result<Pty<'a>> {
        let timeout = self.timeout;
        Pty::start(self, timeout)
    }

    /// Where it runs.
    pub(crate) fn dom0(&self) -> &'a Dom0 {
        self.dom0
    }

    /// The command, quoted for a shell.
    fn line(&self) -> OsString {
        let env =
            self.env.iter().map(|(name, value)| [name.as_bytes(), value.as_bytes()].join(&b'='));
        let env: Vec<Vec<u8>> = env.collect();
        let prefix = if env.is_empty() { &[][..] } else { &[&b"env"[..], b"--"] };
        let words = prefix.iter().copied().chain(env.iter().map(Vec::as_slice));
        ssh::line(words.chain(self.args.iter().map(|arg| arg.as_bytes())))
    }

    /// The command line for a terminal.
    pub(crate) fn terminal_line(&self) -> OsString {
        OsString::from_vec([TERMINAL, self.line().as_bytes(), WRAPPER_END].concat())
    }

    /// The command line with which the pid is said on stderr.
    fn wrapped_line(&self) -> OsString {
        OsString::from_vec([WRAPPER, self.line().as_bytes(), WRAPPER_END].concat())
    }
}

impl fmt::Display for Command<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<_> = self.args.iter().map(|arg| arg.to_string_lossy()).collect();
        let line = words.join(" ");
        if line.len() > 200 { write!(f, "{:.200}…", line) } else { f.write_str(&line) }
    }
}

/// A command that runs in Dom0. Dropping it kills it.
#[derive(Debug)]
pub struct Running<'a> {
    command: Command<'a>,
    deadline: Instant,
    child: Child,
    /// The command's pid in Dom0.
    pub pid: i32,
    /// The write end of the command's stdin; take it to close it.
    pub stdin: Option<ChildStdin>,
    /// What came on stdout so far.
    pub stdout: Capture,
    /// What came on stderr so far.
    pub stderr: Capture,
    copier: Option<JoinHandle<()>>,
}

impl<'a> Running<'a> {
    fn start(command: Command<'a>, stdout: Stdio) -> Result<Self> {
        let deadline = Instant::now() + command.timeout;
        let mut ssh = command.dom0.ssh().command(command.wrapped_line(), false);
        ssh.stdin(Stdio::piped()).stdout(stdout).stderr(Stdio::piped()).process_group(0);
        let mut child = ssh.spawn().context("cannot start ssh")?;
        let stdin = child.stdin.take();
        let first = match &mut child.stderr {
            Some(stderr) => first_line(stderr)?,
            None => bail!("ssh has no stderr"),
        };
        let Ok(pid) = first.trim_end().parse() else {
            let _ = child.kill();
            let _ = child.wait();
            bail!("cannot run {command} in Dom0: {first}\n{}", logs::describe(command.dom0.logs()));
        };
        let (stdout, stderr) = (Capture::default(), Capture::default());
        Ok(Self { command, deadline, child, pid, stdin, stdout, stderr, copier: None })
    }

    /// Writes `bytes` to the command's stdin and closes it, without waiting.
    pub fn write_in_background(&mut self, bytes: Vec<u8>) -> Result<()> {
        let Some(mut stdin) = self.stdin.take() else { bail!("stdin was closed before") };
        if !bytes.is_empty() {
            // A command that does not read its input is free to do so.
            thread::spawn(move || drop(stdin.write_all(&bytes)));
        }
        Ok(())
    }

    /// Sends a signal, by number, to the command.
    pub fn signal(&self, signal: i32) -> Result<()> {
        self.command.dom0.kill(self.pid, signal)
    }

    /// Waits for the end of the command, or for its time-out, which kills it.
    pub fn wait(mut self) -> Result<Output> {
        self.stdin = None;
        if !self.stdout.wait_end(self.deadline) || !self.stderr.wait_end(self.deadline) {
            let waited = self.command.timeout.as_secs();
            let output = Output::new(&self, 0);
            let command = self.command.clone();
            drop(self);
            bail!("{command} did not end within {waited} s\n{output}");
        }
        let status = self.child.wait().context("cannot wait for ssh")?;
        if let Some(copier) = self.copier.take() {
            let _ = copier.join();
        }
        let code = status.code().ok_or_else(|| anyhow!("ssh was killed: {status}"))?;
        let dom0 = self.command.dom0;
        if code == 255 && !dom0.ssh().is_alive() {
            bail!("Dom0 went away during {}\n{}", self.command, logs::describe(dom0.logs()));
        }
        Ok(Output::new(&self, code))
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        if let Ok(Some(_)) = self.child.try_wait() {
            return;
        }
        let _ = self.signal(9);
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads one line, no byte further.
fn first_line(pipe: &mut impl Read) -> Result<String> {
    let mut line = Vec::new();
    let mut byte = [0];
    while pipe.read(&mut byte).context("cannot read ssh's stderr")? == 1 {
        line.push(byte[0]);
        if byte[0] == b'\n' {
            break;
        }
    }
    Ok(String::from_utf8_lossy(&line).into_owned())
}

/// What a command did.
#[derive(Debug, Clone)]
pub struct Output {
    /// Every byte of stdout.
    pub stdout: Vec<u8>,
    /// Every byte of stderr.
    pub stderr: Vec<u8>,
    /// The exit code; 128 + n if a signal killed it.
    pub code: i32,
    command: String,
    logs: String,
}

impl Output {
    fn new(running: &Running<'_>, code: i32) -> Self {
        Self {
            stdout: running.stdout.bytes(),
            stderr: running.stderr.bytes(),
            code,
            command: running.command.to_string(),
            logs: running.command.dom0.logs().display().to_string(),
        }
    }

    /// Fails, with all that is known, if the exit code is not 0.
    pub fn success(self) -> Result<Self> {
        if self.code == 0 { Ok(self) } else { Err(anyhow!("{self}")) }
    }

    /// stdout as text, without the last newline.
    pub fn text(&self) -> String {
        let text = String::from_utf8_lossy(&self.stdout);
        text.strip_suffix('\n').unwrap_or(&text).to_owned()
    }

    /// stderr as text.
    pub fn error_text(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }
}

/// For failure messages: the command, its code, its output, the logs.
impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: exit code {}", self.command, self.code)?;
        for (name, bytes) in [("stdout", &self.stdout), ("stderr", &self.stderr)] {
            let shown = &bytes[..bytes.len().min(4096)];
            writeln!(f, "--- {name}, {} bytes:\n{}", bytes.len(), String::from_utf8_lossy(shown))?;
        }
        write!(f, "consoles and logs are in {}", self.logs)
    }
}
