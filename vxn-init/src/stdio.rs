//! What a process gets as stdin, stdout and stderr, and our ends of it.

use std::{
    fs::{self, File},
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::net::UnixListener,
    },
    path::{Path, PathBuf},
};

use libcontainer::container::builder::ContainerBuilder;
use nix::{
    fcntl::{FcntlArg, OFlag, fcntl},
    unistd,
};
use vxn_proto::{ProcessSpec, WindowSize};

use crate::{Error, Result, error::Context, sys};

/// Our ends, none of which blocks.
#[derive(Debug)]
pub struct Ends {
    /// Where stdin is written; `None` for a process that reads `/dev/null`.
    pub input: Option<OwnedFd>,
    /// stdout, or all output of a terminal.
    pub output: OwnedFd,
    /// stderr; `None` with a terminal.
    pub error: Option<OwnedFd>,
}

/// Our ends before the container exists.
#[derive(Debug)]
pub enum Pending {
    /// Pipes are complete.
    Pipes(Ends),
    /// libcontainer opens the terminal in the container and passes its master
    /// over a socket.
    Terminal {
        /// Where the socket is.
        path: PathBuf,
        /// The socket.
        listener: UnixListener,
        /// Size of the terminal.
        size: WindowSize,
        /// Whether stdin is carried.
        stdin: bool,
    },
}

/// Gives the container's builder its stdio. `scratch` is a directory of ours.
pub fn prepare(
    spec: &ProcessSpec,
    builder: ContainerBuilder,
    scratch: &Path,
) -> Result<(ContainerBuilder, Pending)> {
    let Some(size) = spec.tty else { return pipes(spec.stdin, builder) };
    let path = scratch.join("terminal.sock");
    let listener = UnixListener::bind(&path).context("listen for a terminal")?;
    // libcontainer has connected when the container exists, so nothing waits here.
    listener.set_nonblocking(true).context("listen for a terminal")?;
    let builder = builder.with_console_socket(Some(&path));
    Ok((builder, Pending::Terminal { path, listener, size, stdin: spec.stdin }))
}

fn pipes(stdin: bool, builder: ContainerBuilder) -> Result<(ContainerBuilder, Pending)> {
    let (Theirs { input, output, error }, ends) = pair(stdin)?;
    let builder = builder.with_stdin(input).with_stdout(output).with_stderr(error);
    Ok((builder, Pending::Pipes(ends)))
}

/// The process's ends of its pipes.
#[derive(Debug)]
pub struct Theirs {
    /// stdin.
    pub input: OwnedFd,
    /// stdout.
    pub output: OwnedFd,
    /// stderr.
    pub error: OwnedFd,
}

/// Pipes for a process, both ends of each. Without `stdin` it reads `/dev/null`.
pub fn pair(stdin: bool) -> Result<(Theirs, Ends)> {
    let (theirs_in, input) = if stdin {
        let (read, write) = pipe()?;
        (read, Some(ours(write)?))
    } else {
        (File::open("/dev/null").context("open /dev/null")?.into(), None)
    };
    let (output, theirs_out) = pipe()?;
    let (error, theirs_err) = pipe()?;
    let theirs = Theirs { input: theirs_in, output: theirs_out, error: theirs_err };
    Ok((theirs, Ends { input, output: ours(output)?, error: Some(ours(error)?) }))
}

impl Pending {
    /// Our ends, once the container exists.
    pub fn complete(self) -> Result<Ends> {
        match self {
            Self::Pipes(ends) => Ok(ends),
            Self::Terminal { path, listener, size, stdin } => {
                fs::remove_file(path).context("remove the terminal's socket")?;
                let (socket, _) = listener.accept().context("accept the terminal")?;
                let master = sys::receive_fd(socket.as_fd())
                    .context("receive the terminal")?
                    .ok_or_else(|| Error::Other("libcontainer sent no terminal".into()))?;
                let output = ours(master)?;
                sys::set_window_size(output.as_fd(), size).context("size the terminal")?;
                let input = if stdin {
                    Some(output.try_clone().context("share the terminal")?)
                } else {
                    None
                };
                Ok(Ends { input, output, error: None })
            }
        }
    }
}

fn pipe() -> Result<(OwnedFd, OwnedFd)> {
    unistd::pipe2(OFlag::O_CLOEXEC).context("create a pipe")
}

/// Makes our end of a pipe not block; the process's end stays as it expects it.
fn ours(fd: OwnedFd) -> Result<OwnedFd> {
    set_nonblocking(fd.as_fd())?;
    Ok(fd)
}

fn set_nonblocking(fd: BorrowedFd<'_>) -> Result<()> {
    fcntl(fd, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).map(drop).context("make a pipe not block")
}
