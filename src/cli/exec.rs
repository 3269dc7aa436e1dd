//! `vxn exec` and `vxn attach`.

use std::ffi::OsString;
use std::io::{self, IsTerminal};
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::Args;
use nix::sys::signal::Signal;
use vxn_proto::ProcessSpec;

use super::engine::Engine;
use super::env::environment;
use super::run;
use crate::config::Settings;
use crate::container::control::{Connection, ToMonitor};
use crate::container::definition::{DEFAULT_SIZE, Definition};
use crate::container::keys::DetachKeys;
use crate::container::monitor::signal_fd;
use crate::container::process;
use crate::container::talk::{Outcome, Outputs, Streams, Talk, Until};
use crate::container::terminal::{self, RawMode};

/// Run another command in a container that runs.
#[derive(Debug, Args)]
#[command(
    override_usage = "vxn exec [OPTIONS] CONTAINER COMMAND [ARG]...",
    after_help = "Examples:\n  vxn exec web ls /etc\n  vxn exec -it web sh\n  \
                  vxn exec -d -e LEVEL=9 -w /srv -u www web ./rebuild"
)]
pub struct ExecArgs {
    /// Carry stdin to the process.
    #[arg(short, long)]
    interactive: bool,
    /// Give the process a terminal.
    #[arg(short, long)]
    tty: bool,
    /// Leave the process running.
    #[arg(short, long)]
    detach: bool,
    /// The keys that leave the terminal: ctrl-p,ctrl-q if not said.
    #[arg(long, value_name = "KEYS")]
    detach_keys: Option<DetachKeys>,
    /// Set an environment variable; KEY alone takes its value from here.
    #[arg(short, long, value_name = "KEY[=VALUE]")]
    env: Vec<OsString>,
    /// Read environment variables from a file, one KEY=VALUE a line.
    #[arg(long, value_name = "FILE")]
    env_file: Vec<PathBuf>,
    /// Working directory, the container's if not said.
    #[arg(short, long, value_name = "DIR")]
    workdir: Option<OsString>,
    /// User, the container's if not said.
    #[arg(short, long, value_name = "USER[:GROUP]")]
    user: Option<String>,
    /// Name or id.
    container: String,
    /// Command and arguments.
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<OsString>,
}

/// Stay with a container that runs: its output, its stdin, its exit code.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  vxn attach web")]
pub struct AttachArgs {
    /// Do not carry stdin.
    #[arg(long)]
    no_stdin: bool,
    /// The keys that leave the container's terminal: ctrl-p,ctrl-q if not said.
    #[arg(long, value_name = "KEYS")]
    detach_keys: Option<DetachKeys>,
    /// Name or id.
    container: String,
}

/// Runs a command in a container.
pub fn exec(args: ExecArgs, settings: &Settings) -> anyhow::Result<ExitCode> {
    let engine = Engine::new("exec", settings)?;
    let definition = engine.store.find(&args.container)?;
    let carried = !args.detach;
    if carried && args.tty && args.interactive && !io::stdin().is_terminal() {
        bail!("the input device is not a TTY");
    }
    let (tty, stdin) = (args.tty, args.interactive && carried);
    let detach_keys = args.detach_keys.clone();
    let detached = args.detach;
    let spec = spec(args, &definition, stdin)?;
    let mut connection = engine.connect(&definition)?;
    connection.send(&ToMonitor::Exec { spec, detached })?;
    if detached {
        let signals = signal_fd(&[])?;
        let outcome = Talk::new(connection, signals, None, Until::Started).run()?;
        return Ok(code(outcome));
    }
    talk(connection, tty, stdin, detach_keys)
}

/// The container's own process, with another command.
fn spec(args: ExecArgs, definition: &Definition, stdin: bool) -> anyhow::Result<ProcessSpec> {
    let own = definition.process.spec(None);
    let env = process::environment(own.env, environment(&args.env_file, &args.env)?);
    Ok(ProcessSpec {
        args: args.command.into_iter().map(OsString::into_vec).collect(),
        env,
        cwd: args.workdir.map_or(own.cwd, OsString::into_vec),
        user: args.user.unwrap_or(own.user),
        tty: args.tty.then(|| terminal::size().unwrap_or(DEFAULT_SIZE)),
        stdin,
        groups: None,
        umask: own.umask,
    })
}

/// Attaches to a container's main process.
pub fn attach(args: AttachArgs, settings: &Settings) -> anyhow::Result<ExitCode> {
    let engine = Engine::new("attach", settings)?;
    let definition = engine.store.find(&args.container)?;
    let tty = definition.process.tty;
    let stdin = definition.process.stdin && !args.no_stdin;
    if tty && stdin && !io::stdin().is_terminal() {
        bail!("the input device is not a TTY");
    }
    let mut connection = engine.connect(&definition)?;
    let size = if tty { terminal::size() } else { None };
    connection.send(&ToMonitor::Attach { stdin, size })?;
    talk(connection, tty, stdin, args.detach_keys)
}

/// Carries the streams of a process until it ends or is left.
pub fn talk(
    connection: Connection,
    tty: bool,
    stdin: bool,
    keys: Option<DetachKeys>,
) -> anyhow::Result<ExitCode> {
    let signals = signal_fd(if tty { &[Signal::SIGWINCH] } else { &[] })?;
    let keys = (tty && stdin).then(|| keys.unwrap_or_default());
    let raw = if tty && stdin {
        Some(RawMode::enter().context("cannot set the terminal")?)
    } else {
        None
    };
    let streams = Streams::open(stdin, Outputs::BOTH, keys).context("cannot carry the streams")?;
    let outcome = Talk::new(connection, signals, Some(streams), Until::Ended).run();
    drop(raw);
    Ok(code(outcome?))
}

/// The exit code of a command that stayed.
pub fn code(outcome: Outcome) -> ExitCode {
    match outcome {
        Outcome::Ended(report) => run::exit(report),
        Outcome::Left => ExitCode::SUCCESS,
        Outcome::Interrupted(signal) => ExitCode::from(signal.saturating_add(128)),
    }
}
