//! `vxn save`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, ValueEnum};

use super::{lookup, store};
use crate::cli::archive_output;
use crate::config::Settings;
use crate::image::archive;

/// `vxn save`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  vxn save -o alpine.tar alpine\n  \
    vxn save alpine debian:12 | ssh other vxn load")]
pub struct SaveArgs {
    /// The file to write; stdout if there is none.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// The kind of archive.
    #[arg(long, value_enum, default_value_t = Format::DockerArchive)]
    format: Format,
    /// Which images.
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<String>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    /// That of `docker save`; other tools find an OCI layout in it as well.
    DockerArchive,
    /// An OCI layout.
    OciArchive,
}

/// Runs `vxn save`.
pub fn run(args: &SaveArgs, settings: &Settings) -> Result<ExitCode> {
    let store = store(settings)?;
    let found = args.images.iter().map(|text| lookup(&store, text, settings));
    let images = found.collect::<Result<Vec<_>>>()?;
    let format = match args.format {
        Format::DockerArchive => archive::Format::Docker,
        Format::OciArchive => archive::Format::Oci,
    };
    archive_output::write(args.output.as_deref(), |out| Ok(store.save(&images, format, out)?))?;
    Ok(ExitCode::SUCCESS)
}
