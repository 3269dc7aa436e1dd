//! `vxn pull`, and how `vxn run` comes by its image.

use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};

use super::{RegistryFlags, Show, limits, reference, store};
use crate::cli::failure::Hint;
use crate::cli::root_disk::{Guest, formats};
use crate::config::Settings;
use crate::image::store::Store;
use crate::image::{Error, Formats, Image, Platform, PullOptions};

/// `vxn pull`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  vxn pull alpine\n  \
    vxn pull --platform linux/arm64 debian:12\n  \
    vxn pull containers-storage:localhost/made-by-buildah")]
pub struct PullArgs {
    /// Print the image's id only.
    #[arg(short, long)]
    quiet: bool,
    /// Print progress as JSON, an event a line.
    #[arg(long, conflicts_with = "quiet")]
    json: bool,
    /// The platform of the image: linux/ARCHITECTURE[/VARIANT].
    #[arg(long, value_name = "PLATFORM")]
    platform: Option<Platform>,
    #[command(flatten)]
    registry: RegistryFlags,
    /// What to fetch.
    #[arg(value_name = "IMAGE", required = true)]
    images: Vec<String>,
}

/// Runs `vxn pull`.
pub fn run(args: &PullArgs, settings: &Settings) -> Result<ExitCode> {
    let store = store(settings)?;
    let formats = formats(Guest::of(settings), settings)?;
    let options = options(&args.registry, args.platform.as_ref(), formats, settings);
    for text in &args.images {
        let mut show = match (args.quiet, args.json) {
            (true, _) => Show::nothing(),
            (_, true) => Show::json(),
            _ => Show::on_stderr(),
        };
        let image = store.pull(&reference(text, settings)?, &options, &mut |step| show.step(step));
        let image = image?;
        show.end();
        if !args.json {
            println!(
                "{}",
                if args.quiet { image.config_digest.to_string() } else { image.reference }
            );
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn options(
    flags: &RegistryFlags,
    platform: Option<&Platform>,
    formats: Formats,
    settings: &Settings,
) -> PullOptions {
    PullOptions {
        tls_verify: flags.tls_verify,
        authfile: flags.authfile.clone(),
        platform: platform.cloned().unwrap_or_else(Platform::host),
        limits: limits(settings),
        formats,
    }
}

/// When a container's image is fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Policy {
    /// Every time.
    Always,
    /// When it is not here.
    Missing,
    /// Never: it has to be here.
    Never,
}

/// The flags of every verb that makes a container of an image.
#[derive(Debug, Clone, Args)]
pub struct PullFlags {
    /// When to fetch the image.
    #[arg(long, value_name = "WHEN", value_enum, default_value_t = Policy::Missing)]
    pull: Policy,
    /// Show no progress of that.
    #[arg(short, long)]
    quiet: bool,
    /// The platform of the image: linux/ARCHITECTURE[/VARIANT].
    #[arg(long, value_name = "PLATFORM")]
    platform: Option<Platform>,
    #[command(flatten)]
    registry: RegistryFlags,
}

/// The image that a user means, with a root disk of one of `formats`, fetched if need be.
pub fn obtain(
    text: &str,
    flags: &PullFlags,
    formats: Formats,
    settings: &Settings,
) -> Result<Image> {
    let store = store(settings)?;
    let options = options(&flags.registry, flags.platform.as_ref(), formats, settings);
    if let Some(other) = flags.platform.as_ref().filter(|p| !runs_here(p)) {
        return Err(anyhow::anyhow!("--platform {other}: this host runs {}", Platform::host()))
            .context(Hint("a DomU has the host's processor: nothing is emulated".to_owned()));
    }
    let mut show = if flags.quiet { Show::nothing() } else { Show::on_stderr() };
    let mut progress = |step| show.step(step);
    let image = match flags.pull {
        Policy::Always => store.pull(&reference(text, settings)?, &options, &mut progress),
        Policy::Never => here(&store, text, settings, &options, &mut progress),
        // Most often it is here, and nothing is to be done.
        Policy::Missing => match known(&store, text, formats, settings)? {
            Some(image) => return Ok(image),
            None => match by_id(&store, text, settings) {
                Some(found) => store.prepare(&found, &options, &mut progress),
                None => store.get(&reference(text, settings)?, &options, &mut progress),
            },
        },
    };
    let image = image?;
    show.end();
    Ok(image)
}

fn runs_here(platform: &Platform) -> bool {
    let host = Platform::host();
    platform.architecture == host.architecture
        || (host.architecture == "amd64" && platform.architecture == "386")
}

fn known(
    store: &Store,
    text: &str,
    formats: Formats,
    settings: &Settings,
) -> Result<Option<Image>> {
    match reference(text, settings) {
        Ok(reference) => Ok(store.find(&reference, formats)?),
        // It may be an id.
        Err(_) => Ok(None),
    }
}

fn by_id(store: &Store, text: &str, settings: &Settings) -> Option<crate::image::store::Found> {
    let found = store.lookup(text, &settings.registry.value).ok();
    found.filter(|found| found.name.is_none())
}

fn here(
    store: &Store,
    text: &str,
    settings: &Settings,
    options: &PullOptions,
    progress: &mut dyn FnMut(crate::image::Progress),
) -> Result<Image, Error> {
    let found = store.lookup(text, &settings.registry.value)?;
    store.prepare(&found, options, progress)
}
