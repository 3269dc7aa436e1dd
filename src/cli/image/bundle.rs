//! `vxn bundle`.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;

use super::pull::{PullFlags, obtain};
use crate::config::Settings;
use crate::container::bundle;
use crate::container::process::{self, ProcessRequest};
use crate::image::Formats;

/// `vxn bundle`.
#[derive(Debug, Args)]
#[command(
    override_usage = "vxn bundle [OPTIONS] IMAGE DIR [-- COMMAND [ARG]...]",
    after_help = "Example:\n  vxn bundle alpine /tmp/b -- sleep 60 && crun run --bundle /tmp/b test"
)]
pub struct BundleArgs {
    #[command(flatten)]
    pull: PullFlags,
    /// Which image.
    image: String,
    /// The bundle's directory: made, or empty.
    dir: PathBuf,
    /// What to run in place of the image's command.
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

/// Runs `vxn bundle`.
pub fn run(args: BundleArgs, settings: &Settings) -> Result<ExitCode> {
    // What is unpacked with `unsquashfs` has to be SquashFS.
    let image = obtain(&args.image, &args.pull, Formats::SquashFs, settings)?;
    let command = args.command.into_iter().map(OsString::into_vec).collect();
    let request = ProcessRequest { command, ..ProcessRequest::default() };
    let process = process::merge(request, image.config.config().as_ref(), "vxn")?;
    bundle::write(&image.root_disk.path, &process, &args.dir)
        .with_context(|| format!("cannot make the bundle {}", args.dir.display()))?;
    Ok(ExitCode::SUCCESS)
}
