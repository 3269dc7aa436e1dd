//! `kill` and `delete`.

use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Args;

use super::{Runtime, start};
use crate::cli::spec;
use crate::container::control::{Connection, Error, ToMonitor};
use crate::oci::hooks::{self, Moment};
use crate::oci::state::{Record, Status};
use crate::oci::{self, cgroup};

/// SIGKILL, of which nothing in the container survives.
const KILL: u8 = 9;

/// Arguments of `kill`.
#[derive(Debug, Args)]
pub struct KillArgs {
    /// Every process of the container: SIGKILL alone can do that.
    #[arg(short, long)]
    all: bool,
    /// The container's id.
    id: String,
    /// A name or a number.
    #[arg(default_value = "SIGTERM", value_parser = spec::signal)]
    signal: u8,
}

/// Arguments of `delete`.
#[derive(Debug, Args)]
pub struct DeleteArgs {
    /// Kill it first if it runs, and be content if it is not there.
    #[arg(short, long)]
    force: bool,
    /// The container's id.
    id: String,
}

/// Sends a signal.
pub fn kill(args: &KillArgs, runtime: &Runtime<'_>) -> Result<ExitCode> {
    let record = runtime.find(&args.id)?;
    if record.status(runtime.run())? == Status::Stopped {
        if args.all {
            return Ok(ExitCode::SUCCESS);
        }
        bail!("container not running");
    }
    if args.all && args.signal != KILL {
        bail!("kill --all is not supported for any signal but SIGKILL");
    }
    start::ask(&record, &ToMonitor::Signal { signal: args.signal }, runtime)
}

/// Removes a container.
pub fn delete(args: &DeleteArgs, runtime: &Runtime<'_>) -> Result<ExitCode> {
    let ended = end(args, runtime)?;
    let taken = match runtime.states.take(&args.id) {
        // Who stayed with it has removed it.
        Err(oci::Error::NoSuchContainer) if args.force || ended => return Ok(ExitCode::SUCCESS),
        taken => taken?,
    };
    let record = taken.record.clone();
    stopped(&record, record.status(runtime.run())?)?;
    if let Some(dir) = &record.cgroup {
        cgroup::remove(dir)
            .with_context(|| format!("cannot remove the control group {}", dir.display()))?;
    }
    taken.forget()?;
    poststop(&record);
    Ok(ExitCode::SUCCESS)
}

/// Ends a container that has not begun, or that is to be killed. Returns whether it has.
fn end(args: &DeleteArgs, runtime: &Runtime<'_>) -> Result<bool> {
    let record = match runtime.states.find(&args.id) {
        // There may be something that a killed `create` has left.
        Err(oci::Error::NoSuchContainer) => return Ok(false),
        found => found?,
    };
    match record.status(runtime.run())? {
        Status::Stopped => return Ok(false),
        status @ (Status::Running | Status::Paused) if !args.force => stopped(&record, status)?,
        _ => {}
    }
    destroy(&record, runtime)?;
    Ok(true)
}

fn stopped(record: &Record, status: Status) -> Result<()> {
    if status != Status::Stopped {
        bail!("cannot delete container {} that is not stopped: {}", record.id, status.word());
    }
    Ok(())
}

/// Runs what is to be run when a container is gone.
pub fn poststop(record: &Record) {
    let state = record.state(Status::Stopped.word());
    hooks::later(Moment::Poststop, &record.hooks, &record.bundle, &state);
}

/// Ends a container, and returns when its DomU is gone.
fn destroy(record: &Record, runtime: &Runtime<'_>) -> Result<()> {
    let connection = Connection::open(&record.live(runtime.run()));
    match connection.and_then(|mut connection| connection.ask(&ToMonitor::Destroy)) {
        Ok(_) | Err(Error::NotRunning) => Ok(()),
        Err(e) => Err(e.into()),
    }
}
