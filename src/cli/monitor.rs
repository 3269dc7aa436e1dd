//! `vxn monitor`: started by vxn itself, never by a person.

use std::os::fd::RawFd;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;

use crate::container::{monitor, sys};

/// What the front hands over.
#[derive(Debug, Args)]
pub struct MonitorArgs {
    /// File descriptor of the socket to the front.
    #[arg(long)]
    link: RawFd,
}

/// Runs the monitor.
pub fn run(args: &MonitorArgs) -> anyhow::Result<ExitCode> {
    let link =
        sys::inherited(args.link).context("`vxn monitor` is started by `vxn run`, not by hand")?;
    Ok(monitor::main(UnixStream::from(link)))
}
