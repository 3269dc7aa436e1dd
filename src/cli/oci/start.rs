//! `start`, `pause` and `resume`: what the monitor of a container is asked for.

use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Args;

use super::{Runtime, create};
use crate::container::control::{Connection, Error, ToClient, ToMonitor};
use crate::oci::hooks::{self, Moment};
use crate::oci::state::{Record, Status};

/// A container.
#[derive(Debug, Args)]
pub struct Id {
    /// The container's id.
    pub id: String,
}

/// Starts the process of a container that was created.
pub fn start(args: &Id, runtime: &Runtime<'_>) -> Result<ExitCode> {
    let record = runtime.find(&args.id)?;
    match record.status(runtime.run())? {
        Status::Created => begin(&record, runtime),
        Status::Running | Status::Paused => bail!("cannot start an already running container"),
        Status::Stopped => bail!("cannot start a container that has stopped"),
    }
}

/// Starts it, and returns when its process runs.
pub fn begin(record: &Record, runtime: &Runtime<'_>) -> Result<ExitCode> {
    let mut connection = Connection::open(&record.live(runtime.run()))?;
    match connection.ask(&ToMonitor::Start)? {
        ToClient::Ended(report) => Err(create::failed(report)),
        _ => {
            connection.send(&ToMonitor::Leave)?;
            poststart(record);
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// Runs what is to be run when the process does.
pub fn poststart(record: &Record) {
    let state = record.state(Status::Running.word());
    hooks::later(Moment::Poststart, &record.hooks, &record.bundle, &state);
}

/// Stops the CPUs of a container.
pub fn pause(args: &Id, runtime: &Runtime<'_>) -> Result<ExitCode> {
    ask(&runtime.find(&args.id)?, &ToMonitor::Pause, runtime)
}

/// Lets them go on.
pub fn resume(args: &Id, runtime: &Runtime<'_>) -> Result<ExitCode> {
    ask(&runtime.find(&args.id)?, &ToMonitor::Unpause, runtime)
}

/// Asks a monitor for something that is done at once.
pub fn ask(record: &Record, message: &ToMonitor, runtime: &Runtime<'_>) -> Result<ExitCode> {
    let connection = Connection::open(&record.live(runtime.run()));
    match connection.and_then(|mut connection| connection.ask(message)) {
        Ok(ToClient::Ended(_)) | Err(Error::NotRunning | Error::Lost) => {
            bail!("container not running")
        }
        Ok(_) => Ok(ExitCode::SUCCESS),
        Err(e) => Err(e.into()),
    }
}
