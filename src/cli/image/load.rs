//! `vxn load`.

use std::fs::File;
use std::io::{self, IsTerminal, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;

use super::{Show, locally, store};
use crate::cli::failure::Hint;
use crate::config::Settings;
use crate::image::Platform;

/// `vxn load`.
#[derive(Debug, Args)]
pub struct LoadArgs {
    /// The archive; stdin if there is none.
    #[arg(short, long, value_name = "FILE")]
    input: Option<PathBuf>,
    /// Print the names of the images only.
    #[arg(short, long)]
    quiet: bool,
    /// Which platform's image of a list: linux/ARCHITECTURE[/VARIANT].
    #[arg(long, value_name = "PLATFORM")]
    platform: Option<Platform>,
}

/// Runs `vxn load`.
pub fn run(args: &LoadArgs, settings: &Settings) -> Result<ExitCode> {
    let store = store(settings)?;
    let mut options = locally(settings)?;
    options.platform = args.platform.clone().unwrap_or(options.platform);
    let mut input = open(args.input.as_deref())?;
    let mut show = if args.quiet { Show::nothing() } else { Show::on_stderr() };
    let registry = &settings.registry.value;
    let loaded = store.load(&mut *input, registry, &options, &mut |step| show.step(step))?;
    show.end();
    for image in loaded {
        match image.name {
            Some(name) => println!("Loaded image: {name}"),
            None => println!("Loaded image ID: {}", store.summary(&image.digest)?.id),
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// A file, or stdin when it is none or `-`.
pub fn open(path: Option<&Path>) -> Result<Box<dyn Read>> {
    match path.filter(|path| *path != Path::new("-")) {
        Some(path) => Ok(Box::new(
            File::open(path).with_context(|| format!("cannot read {}", path.display()))?,
        )),
        None if io::stdin().is_terminal() => {
            Err(anyhow::anyhow!("no archive comes from a terminal"))
                .context(Hint("name a file, or redirect the input".to_owned()))
        }
        None => Ok(Box::new(io::stdin().lock())),
    }
}
