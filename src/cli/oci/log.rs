//! How a failure is told: on stderr, and as one line in the caller's log.

use std::process::ExitCode;

use super::OciArgs;
use crate::cli::failure::Failure;
use crate::container::failure_log::{FailureLog, Format as Written};

/// How a line of the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Words for people.
    Text,
    /// An object.
    Json,
}

/// The caller's log, as the command line says.
pub fn of(args: &OciArgs) -> Option<FailureLog> {
    let format = match args.log_format {
        Format::Text => Written::Text,
        Format::Json => Written::Json,
    };
    let file = args.log.as_ref()?;
    // A monitor that writes to it is elsewhere.
    let file = std::path::absolute(file).unwrap_or_else(|_| file.clone());
    Some(FailureLog { file, format })
}

/// Tells of a failure, and returns runc's exit code for it.
pub fn fail(log: Option<&FailureLog>, failure: &Failure) -> ExitCode {
    if let Some(log) = log {
        if let Err(e) = log.add(failure.error()) {
            eprintln!("cannot write the log {}: {e}", log.file.display());
        }
    }
    failure.print_after("", 1)
}
