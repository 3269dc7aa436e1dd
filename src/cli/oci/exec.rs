//! `exec`. Detached, a process of this host stands for the one in the guest, as a
//! container's monitor does for its first: it has its streams, passes signals on, and
//! ends with its exit code.

use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Args;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use serde::{Deserialize, Serialize};
use vxn_proto::ProcessSpec;

use super::{Runtime, create};
use crate::cli::exec::talk;
use crate::container::control::{Connection, ToMonitor};
use crate::container::definition::{DEFAULT_SIZE, Definition, Process};
use crate::container::hold;
use crate::container::monitor::signal_fd;
use crate::container::report::{self, ENGINE_FAILED, Report};
use crate::container::store::Containers;
use crate::container::talk::{Outcome, Outputs, Streams, Talk, Until};
use crate::container::{process as merged, sys, terminal};
use crate::oci::state::{Record, Status};
use crate::oci::{self, bundle, cgroup, console, process};
use crate::tool;

/// Arguments of `exec`.
#[derive(Debug, Args)]
pub struct ExecArgs {
    /// The socket that the master of the process's terminal is sent to.
    #[arg(long, value_name = "SOCKET")]
    console_socket: Option<PathBuf>,
    /// Leave the process running.
    #[arg(short, long)]
    detach: bool,
    /// Write the id of the process that stands for it to this file.
    #[arg(long, value_name = "FILE")]
    pid_file: Option<PathBuf>,
    /// The process, as in config.json.
    #[arg(short, long, value_name = "FILE")]
    process: Option<PathBuf>,
    /// Give the process a terminal.
    #[arg(short, long)]
    tty: bool,
    /// Working directory, the container's if not said.
    #[arg(long, value_name = "DIR")]
    cwd: Option<String>,
    /// Set an environment variable.
    #[arg(short, long, value_name = "KEY=VALUE")]
    env: Vec<String>,
    /// User, the container's if not said.
    #[arg(short, long, value_name = "UID[:GID]")]
    user: Option<String>,
    /// File descriptors for the process: a DomU can have none.
    #[arg(long, value_name = "N", default_value_t = 0)]
    preserve_fds: u32,
    /// The container's id.
    id: String,
    /// Command and arguments.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<String>,
}

/// Arguments of what stands for a detached process.
#[derive(Debug, Args)]
pub struct AttendArgs {
    /// File descriptor of the socket to `exec`.
    #[arg(long)]
    link: RawFd,
}

/// What `exec` tells whoever is to stand for its process.
#[derive(Debug, Serialize, Deserialize)]
struct Errand {
    /// The directory of the container's monitor.
    live: PathBuf,
    process: Process,
}

/// Runs a process in a container.
pub fn exec(args: &ExecArgs, runtime: &Runtime<'_>) -> Result<ExitCode> {
    if args.preserve_fds > 0 {
        bail!("--preserve-fds is not supported: a DomU has no files of this host");
    }
    let record = runtime.find(&args.id)?;
    match record.status(runtime.run())? {
        Status::Running => {}
        Status::Paused => bail!("cannot exec in a paused container"),
        Status::Created | Status::Stopped => bail!("container not running"),
    }
    let spec = spec(args, &record, runtime)?;
    let live = record.live(runtime.run());
    match (&args.console_socket, spec.tty.is_some(), args.detach) {
        (Some(_), false, _) => bail!("--console-socket is for a process with a terminal"),
        (None, true, true) => bail!("cannot allocate tty without --console-socket"),
        (socket, _, true) => {
            let slave = socket.as_deref().map(console::send).transpose();
            let slave = slave.context("cannot send a terminal to the console socket")?;
            detached(args, &record, &Errand { live, process: spec.into() }, slave)
        }
        (Some(_), true, false) => bail!("--console-socket is for exec --detach"),
        (None, tty, false) => {
            let mut connection = Connection::open(&live)?;
            connection.send(&ToMonitor::Exec { spec, detached: false })?;
            talk(connection, tty, true, None)
        }
    }
}

/// The process of the file, or the container's own with another command.
fn spec(args: &ExecArgs, record: &Record, runtime: &Runtime<'_>) -> Result<ProcessSpec> {
    let store = Containers::new(&oci::store(&runtime.settings.root.value));
    let definition = store.load(&record.container)?;
    let mut spec = match &args.process {
        Some(path) => of_file(&bundle::process(path)?, &definition)?,
        None if args.command.is_empty() => bail!("exec needs a command, or --process"),
        None => of_words(args, &definition),
    };
    if args.tty && spec.tty.is_none() {
        spec.tty = Some(DEFAULT_SIZE);
    }
    Ok(spec)
}

/// The guest gives every process what the container's first one has.
fn of_file(asked: &oci_spec::runtime::Process, definition: &Definition) -> Result<ProcessSpec> {
    let own = &definition.privileges;
    let privileges = process::privileges(asked, own.unmasked)?;
    let more = privileges.cap_add.iter().any(|name| !own.cap_add.contains(name));
    if asked.capabilities().is_some() && more {
        bail!("exec with other capabilities than the container's is not supported yet");
    }
    Ok(process::spec(asked)?)
}

fn of_words(args: &ExecArgs, definition: &Definition) -> ProcessSpec {
    let own = definition.process.spec(None);
    let bytes = |list: &[String]| list.iter().map(|text| text.clone().into_bytes()).collect();
    ProcessSpec {
        args: bytes(&args.command),
        env: merged::environment(own.env, bytes(&args.env)),
        cwd: args.cwd.clone().map_or(own.cwd, String::into_bytes),
        groups: if args.user.is_some() { None } else { own.groups },
        user: args.user.clone().unwrap_or(own.user),
        tty: None,
        stdin: true,
        umask: own.umask,
    }
}

/// Starts whoever stands for the process, and leaves when the process runs.
fn detached(
    args: &ExecArgs,
    record: &Record,
    errand: &Errand,
    terminal: Option<OwnedFd>,
) -> Result<ExitCode> {
    let (mut link, theirs) = UnixStream::pair()?;
    fcntl(&theirs, FcntlArg::F_SETFD(FdFlag::empty()))?;
    let mut attendant = tool::this_program()?;
    attendant.args(["oci", "attend", "--link", &theirs.as_raw_fd().to_string()]);
    attendant.env("VXN_LOG", "off");
    let [stdin, stdout, stderr] = create::streams(terminal)?;
    let mut attendant = attendant.stdin(stdin).stdout(stdout).stderr(stderr).spawn()?;
    drop(theirs);
    report::send(&mut link, errand)?;
    match report::receive::<Option<Report>>(&mut link) {
        Ok(None) => {}
        Ok(Some(report)) => {
            attendant.wait()?;
            return Err(create::failed(report));
        }
        Err(_) => {
            attendant.wait()?;
            bail!("what stands for the process was killed");
        }
    }
    if let Some(dir) = &record.cgroup {
        if let Err(e) = cgroup::enter(dir, attendant.id()) {
            tracing::debug!("the control group {}: {e}", dir.display());
        }
    }
    if let Some(path) = &args.pid_file {
        create::write_pid(path, attendant.id())?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Stands for a process.
pub fn attend(args: &AttendArgs) -> Result<ExitCode> {
    let link = sys::inherited(args.link).context("`attend` is started by `exec`, not by hand")?;
    let mut link = UnixStream::from(link);
    nix::unistd::setsid().context("cannot lead a session")?;
    std::env::set_current_dir("/")?;
    let errand: Errand = report::receive(&mut link)?;
    let report = carry(errand, &link).unwrap_or_else(|e| {
        let report = Report::failed(ENGINE_FAILED, format!("{e:#}"));
        // Nobody listens any more when the process ran.
        let _ = report::send(&mut link, &Some(report.clone()));
        report
    });
    Ok(ExitCode::from(report.code))
}

/// Has the process started, and carries its streams to its end.
fn carry(errand: Errand, link: &UnixStream) -> Result<Report> {
    let tty = errand.process.tty;
    if tty {
        if let Err(e) = terminal::take() {
            tracing::debug!("the terminal tells of no new size: {e}");
        }
    }
    let signals = signal_fd(&hold::SIGNALS)?;
    let spec = errand.process.spec(if tty { terminal::size() } else { None });
    let mut connection = Connection::open(&errand.live)?;
    connection.send(&ToMonitor::Exec { spec, detached: false })?;
    let streams = Streams::open(true, Outputs::BOTH, None)?;
    let talk = Talk::new(connection, signals, Some(streams), Until::Ended);
    let outcome = talk.telling(link.try_clone()?).run()?;
    let Outcome::Ended(report) = outcome else { bail!("the monitor broke off") };
    if report.error.is_some() {
        // It never ran, or its end is nobody's news any more.
        let _ = report::send(&mut link.try_clone()?, &Some(report.clone()));
    }
    Ok(report)
}
