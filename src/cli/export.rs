//! `vxn export`.

use std::io::{self, Read};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use vxn_proto::FileRequest;

use super::engine::Engine;
use super::{archive_output, cp, files, image};
use crate::config::Settings;

/// Write the root file system of a container as a tar archive.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  vxn export -o web.tar web\n  vxn export web | vxn import - web:flat"
)]
pub struct ExportArgs {
    /// The file to write, in place of stdout.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Name or id.
    container: String,
}

/// Exports a container.
pub fn run(args: &ExportArgs, settings: &Settings) -> anyhow::Result<ExitCode> {
    let engine = Engine::new("export", settings)?;
    let definition = engine.store.find(&args.container)?;
    args.output.as_deref().map_or(Ok(()), cp::no_device)?;
    // A guest does not fill this host's disk; what it is piped to is the user's to bound.
    let limit = args.output.as_ref().map(|_| image::limits(settings).unpacked);
    archive_output::write(args.output.as_deref(), |out| {
        files::with(&engine, &definition, false, settings, |files| {
            files.fetch(FileRequest::Export, |from| {
                let mut from = from.take(limit.unwrap_or(u64::MAX));
                io::copy(&mut from, out)?;
                if from.limit() == 0 {
                    return Err(io::Error::from(io::ErrorKind::FileTooLarge).into());
                }
                Ok(())
            })
        })
    })?;
    Ok(ExitCode::SUCCESS)
}
