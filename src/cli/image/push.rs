//! `vxn push`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};

use super::{RegistryFlags, Show, lookup, reference, store};
use crate::config::Settings;
use crate::image::{ManifestFormat, PushOptions, Reference};

/// `vxn push`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  vxn push registry.example/team/app:1\n  \
    vxn push app registry.example/team/app:2\n  vxn push app oci:/srv/images/app")]
pub struct PushArgs {
    /// Print nothing.
    #[arg(short, long)]
    quiet: bool,
    /// Write the digest that the image has there to a file.
    #[arg(long, value_name = "FILE")]
    digestfile: Option<PathBuf>,
    /// The kind of manifest; the image's own unless given.
    #[arg(short, long, value_enum)]
    format: Option<Format>,
    #[command(flatten)]
    registry: RegistryFlags,
    /// Which image.
    image: String,
    /// Where to, if its name does not say so.
    destination: Option<String>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    Oci,
    V2s2,
}

/// Runs `vxn push`.
pub fn run(args: &PushArgs, settings: &Settings) -> Result<ExitCode> {
    let store = store(settings)?;
    let image = lookup(&store, &args.image, settings)?;
    let to = match (&args.destination, &image.name) {
        (Some(to), _) => reference(to, settings)?,
        (None, Some(name)) => Reference::parse(name)?,
        (None, None) => bail!("{} is an id: say where to push it", args.image),
    };
    let options = PushOptions {
        tls_verify: args.registry.tls_verify,
        authfile: args.registry.authfile.clone(),
        format: args.format.map(|format| match format {
            Format::Oci => ManifestFormat::Oci,
            Format::V2s2 => ManifestFormat::V2s2,
        }),
    };
    let mut show = if args.quiet { Show::nothing() } else { Show::on_stderr() };
    let digest = store.push(&image.digest, &to, &options, &mut |step| show.step(step))?;
    show.end();
    if let Some(file) = &args.digestfile {
        std::fs::write(file, digest.to_string())
            .with_context(|| format!("cannot write {}", file.display()))?;
    }
    if !args.quiet {
        println!("{to}: digest: {digest}");
    }
    Ok(ExitCode::SUCCESS)
}
