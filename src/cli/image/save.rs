//! `vxn save`.

use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};

use super::{lookup, store};
use crate::cli::failure::Hint;
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
    let Some(path) = &args.output else {
        if io::stdout().is_terminal() {
            return Err(anyhow::anyhow!("an archive is not for a terminal"))
                .context(Hint("use -o FILE, or redirect the output".to_owned()));
        }
        let mut out = BufWriter::with_capacity(1 << 16, io::stdout().lock());
        store.save(&images, format, &mut out)?;
        return Ok(ExitCode::SUCCESS);
    };
    let failed = || format!("cannot write {}", path.display());
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).map(PathBuf::from);
    let dir = dir.unwrap_or_else(|| PathBuf::from("."));
    // It has its name when it is whole.
    let half =
        tempfile::Builder::new().prefix(".vxn-save-").tempfile_in(dir).with_context(failed)?;
    let mut out = BufWriter::with_capacity(1 << 16, half);
    store.save(&images, format, &mut out)?;
    out.flush().with_context(failed)?;
    let half = out.into_inner().with_context(failed)?;
    half.as_file().sync_all().with_context(failed)?;
    half.persist(path).map_err(|e| e.error).with_context(failed)?;
    Ok(ExitCode::SUCCESS)
}
