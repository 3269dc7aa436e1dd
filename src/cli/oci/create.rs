//! `create` and `run`.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};
use std::thread;

use anyhow::{Context, Result, bail};
use clap::Args;
use jiff::Timestamp;

use super::{Runtime, finish, start};
use crate::cli::failure::Failure;
use crate::cli::prepare;
use crate::container::ContainerId;
use crate::container::definition::Definition;
use crate::container::hold::Held;
use crate::container::monitor::signal_fd;
use crate::container::order::{Attach, Order};
use crate::container::report::{self, Report};
use crate::container::store::Containers;
use crate::network::Namespace;
use crate::oci::bundle::Bundle;
use crate::oci::state::{Claim, Record};
use crate::oci::{self, cgroup, console, definition, disks, hooks, program};
use crate::state::{WorkDir, write_atomic};

/// The root disk, in the container's own directory.
const DISK: &str = "root.squashfs";

/// Arguments of `create`.
#[derive(Debug, Args)]
pub struct CreateArgs {
    /// The bundle's directory.
    #[arg(short, long, value_name = "DIR", default_value = ".")]
    bundle: PathBuf,
    /// The socket that the master of the process's terminal is sent to.
    #[arg(long, value_name = "SOCKET")]
    console_socket: Option<PathBuf>,
    /// Write the id of the process that stands for the container's to this file.
    #[arg(long, value_name = "FILE")]
    pid_file: Option<PathBuf>,
    /// So it is: the guest has a root of its own.
    #[arg(long)]
    no_pivot: bool,
    /// So it is: the guest has keys of its own.
    #[arg(long)]
    no_new_keyring: bool,
    /// File descriptors for the process: a DomU can have none.
    #[arg(long, value_name = "N", default_value_t = 0)]
    preserve_fds: u32,
    /// The container's id.
    id: String,
}

/// Arguments of `run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// Leave the container running.
    #[arg(short, long)]
    detach: bool,
    #[command(flatten)]
    create: CreateArgs,
}

/// Creates a container, which waits to be started.
pub fn create(args: &CreateArgs, runtime: &Runtime<'_>) -> Result<ExitCode> {
    let (held, claim) = hold(args, runtime)?;
    held.leave()?;
    claim.keep();
    Ok(ExitCode::SUCCESS)
}

/// Creates and starts a container, and stays with it unless it is detached.
pub fn run(args: &RunArgs, runtime: &Runtime<'_>) -> Result<ExitCode> {
    let (held, claim) = hold(&args.create, runtime)?;
    if args.detach {
        held.leave()?;
        claim.keep();
        return start::begin(&runtime.find(&args.create.id)?, runtime);
    }
    let signals = signal_fd(&[])?;
    let record = runtime.find(&args.create.id)?;
    let report = thread::scope(|scope| -> Result<_> {
        let (told, started) = UnixStream::pair()?;
        scope.spawn(|| -> io::Result<()> {
            // The other end is closed when it never starts.
            let mut started = started;
            if report::receive::<Option<Report>>(&mut started)?.is_none() {
                start::poststart(&record);
            }
            Ok(())
        });
        Ok(held.run(signals, told))
    });
    record.cgroup.as_deref().map_or(Ok(()), cgroup::remove)?;
    drop(claim);
    finish::poststop(&record);
    let report = report??;
    let code = report.code;
    if report.error.is_some() {
        return Ok(Failure::from(report).print(code));
    }
    Ok(ExitCode::from(code))
}

/// A container with its id claimed and everything written down, that ends with this
/// process unless it is left.
fn hold(args: &CreateArgs, runtime: &Runtime<'_>) -> Result<(Held, Claim)> {
    refuse_descriptors(args)?;
    let bundle = Bundle::load(&args.bundle)?;
    let id = ContainerId::random().context("cannot make an id")?;
    let mut definition = definition::definition(&bundle, id, runtime.settings)?;
    let mounts: Vec<&str> = definition.mounts.iter().map(|m| m.destination.as_str()).collect();
    program::check(&bundle.process, &bundle.rootfs, &mounts)?;
    // What is in it is looked at when the container is started: it may come later.
    definition.network.namespace.as_deref().map(Namespace::open).transpose()?;
    let terminal = terminal(args, definition.process.tty)?;
    let claim = runtime.states.claim(&args.id)?;

    let root = oci::store(&runtime.settings.root.value);
    let tmp = root.join("tmp");
    let work = WorkDir::new(&tmp).with_context(|| format!("cannot write to {}", tmp.display()))?;
    let made = work.path().join(DISK);
    disks::obtain(&root, &bundle.rootfs, &made)?;
    let home = Containers::new(&root).home(&definition.id);
    definition.root_disk.path = home.join(DISK);
    definition.write_back = definition::write_back(&bundle, &definition, runtime.log.cloned())?;

    let held = start_monitor(definition.clone(), root, streams(terminal)?, runtime)?;
    fs::rename(&made, &definition.root_disk.path)
        .with_context(|| format!("cannot write to {}", home.display()))?;
    let record = record(args, &bundle, &definition, &held, runtime);
    if let Some(dir) = &record.cgroup {
        cgroup::enter(dir, record.pid)
            .with_context(|| format!("cannot enter the control group {}", dir.display()))?;
    }
    claim.record(&record)?;
    let state = record.state("creating");
    let own = || PathBuf::from(format!("/proc/{}/ns/net", record.pid));
    let network = definition.network.namespace.clone().unwrap_or_else(own);
    let prepared = hooks::create(&record.hooks, &record.bundle, &state, &network);
    if let Err(e) = prepared {
        held.end();
        record.cgroup.as_deref().map_or(Ok(()), cgroup::remove)?;
        finish::poststop(&record);
        return Err(e.into());
    }
    if let Some(path) = &args.pid_file {
        write_pid(path, record.pid)?;
    }
    Ok((held, claim))
}

fn start_monitor(
    definition: Definition,
    root: PathBuf,
    streams: [Stdio; 3],
    runtime: &Runtime<'_>,
) -> Result<Held> {
    let mut plan = prepare::plan(definition, runtime.settings)?;
    plan.root = root;
    let order = Order { plan, create: true, attach: Attach::Held };
    Held::create(&order, streams).map_err(failed)
}

/// How a container ended that was not to end, as an error.
pub fn failed(mut report: Report) -> anyhow::Error {
    let code = report.code;
    report.error.get_or_insert_with(|| format!("exit code {code}"));
    Failure::from(report).into_error()
}

fn record(
    args: &CreateArgs,
    bundle: &Bundle,
    definition: &Definition,
    held: &Held,
    runtime: &Runtime<'_>,
) -> Record {
    let path = bundle.spec.linux().as_ref().and_then(|linux| linux.cgroups_path().clone());
    let path = path.filter(|_| !runtime.systemd);
    Record {
        id: args.id.clone(),
        container: definition.id.clone(),
        pid: held.pid(),
        bundle: bundle.dir.clone(),
        rootfs: bundle.rootfs.clone(),
        created: Timestamp::now(),
        annotations: bundle.spec.annotations().clone().unwrap_or_default(),
        cgroup: cgroup::directory(path.as_deref()),
        hooks: bundle.spec.hooks().clone().unwrap_or_default(),
    }
}

/// A DomU has no file descriptors of the host's.
fn refuse_descriptors(args: &CreateArgs) -> Result<()> {
    let listening = std::env::var("LISTEN_FDS").is_ok_and(|text| text != "0" && !text.is_empty());
    if args.preserve_fds > 0 || listening {
        bail!("--preserve-fds and LISTEN_FDS are not supported: a DomU has no files of this host");
    }
    Ok(())
}

/// The slave of the process's terminal, if it has one; the caller gets the master.
fn terminal(args: &CreateArgs, tty: bool) -> Result<Option<OwnedFd>> {
    match (tty, &args.console_socket) {
        (false, None) => Ok(None),
        (true, Some(path)) => console::send(path).map(Some).with_context(|| {
            format!("cannot send a terminal to the console socket {}", path.display())
        }),
        (true, None) => bail!("cannot allocate tty without --console-socket"),
        (false, Some(_)) => bail!("--console-socket is for a process with a terminal"),
    }
}

/// The container's standard streams.
pub fn streams(terminal: Option<OwnedFd>) -> io::Result<[Stdio; 3]> {
    let Some(slave) = terminal else {
        return Ok([Stdio::inherit(), Stdio::inherit(), Stdio::inherit()]);
    };
    Ok([slave.try_clone()?.into(), slave.try_clone()?.into(), slave.into()])
}

/// Digits alone, and never half of them.
pub fn write_pid(path: &Path, pid: u32) -> Result<()> {
    let path = std::path::absolute(path)?;
    let written = write_atomic(&path, pid.to_string().as_bytes());
    written.with_context(|| format!("cannot write the pid file {}", path.display()))
}
