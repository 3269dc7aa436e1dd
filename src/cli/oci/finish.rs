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
    let record = match runtime.states.find(&args.id) {
        // Whatever a killed `create` has left goes too.
        Err(oci::Error::NoSuchContainer) if args.force => {
            runtime.states.remove(&args.id)?;
            return Ok(ExitCode::SUCCESS);
        }
        found => found?,
    };
    match record.status(runtime.run())? {
        Status::Stopped => {}
        Status::Running | Status::Paused if !args.force => {
            let word = record.status(runtime.run())?.word();
            bail!("cannot delete container {} that is not stopped: {word}", record.id);
        }
        _ => destroy(&record, runtime)?,
    }
    if let Some(dir) = &record.cgroup {
        cgroup::remove(dir)
            .with_context(|| format!("cannot remove the control group {}", dir.display()))?;
    }
    runtime.states.remove(&record.id)?;
    poststop(&record);
    Ok(ExitCode::SUCCESS)
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
