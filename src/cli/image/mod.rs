//! Images: one file per verb. `vxn pull` and `vxn image pull` are the same.

mod bundle;
pub mod filter;
mod history;
mod import;
pub mod inspect;
mod list;
mod load;
mod login;
mod progress;
pub mod prune;
mod pull;
mod push;
pub mod remove;
mod save;
mod search;
mod tag;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use serde_json::{Map, Value};

use super::root_disk::{Guest, formats};
use crate::config::Settings;
use crate::container::images::in_use;
use crate::image::store::{Found, InUse, Store};
use crate::image::{At, PullOptions, Reference, change, merge};
pub use progress::Show;
pub use pull::{PullFlags, obtain};

/// The verbs that stand by themselves.
#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub enum Verb {
    #[command(flatten)]
    Shared(Shared),
    /// List images.
    Images(list::ListArgs),
    /// Remove images: names first, and with its last name the image.
    Rmi(remove::RemoveArgs),
    /// Log in to a registry.
    Login(login::LoginArgs),
    /// Log out of a registry.
    Logout(login::LogoutArgs),
    /// Manage images.
    #[command(subcommand)]
    Image(ImageVerb),
    /// Write an OCI runtime bundle: the image's root file system and a config.json.
    Bundle(bundle::BundleArgs),
}

/// The verbs that also follow `vxn image`.
#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub enum Shared {
    /// Fetch an image and make its root disk.
    Pull(pull::PullArgs),
    /// Copy an image to a registry.
    Push(push::PushArgs),
    /// Give an image another name.
    Tag(tag::TagArgs),
    /// Take names away from an image.
    Untag(tag::UntagArgs),
    /// Show how an image came about.
    History(history::HistoryArgs),
    /// Write images to an archive.
    Save(save::SaveArgs),
    /// Read images from an archive.
    Load(load::LoadArgs),
    /// Make an image of a tar archive of a root file system.
    Import(import::ImportArgs),
    /// Search a registry for images.
    Search(search::SearchArgs),
}

/// `vxn image …`.
#[derive(Debug, Subcommand)]
pub enum ImageVerb {
    #[command(flatten)]
    Shared(Shared),
    /// List images.
    #[command(visible_alias = "list")]
    Ls(list::ListArgs),
    /// Remove images.
    #[command(visible_alias = "remove")]
    Rm(remove::RemoveArgs),
    /// Show all that is known of images, as JSON.
    Inspect(inspect::InspectArgs),
    /// Remove images that nothing needs.
    Prune(prune::PruneArgs),
}

/// Runs one of them.
pub fn run(verb: Verb, settings: &Settings) -> Result<ExitCode> {
    match verb {
        Verb::Shared(verb) | Verb::Image(ImageVerb::Shared(verb)) => shared(verb, settings),
        Verb::Images(args) | Verb::Image(ImageVerb::Ls(args)) => list::run(&args, settings),
        Verb::Rmi(args) | Verb::Image(ImageVerb::Rm(args)) => remove::run(&args, settings),
        Verb::Image(ImageVerb::Inspect(args)) => inspect::run(&args, settings),
        Verb::Image(ImageVerb::Prune(args)) => prune::run(&args, settings),
        Verb::Login(args) => login::login(&args, settings),
        Verb::Logout(args) => login::logout(&args, settings),
        Verb::Bundle(args) => bundle::run(args, settings),
    }
}

fn shared(verb: Shared, settings: &Settings) -> Result<ExitCode> {
    match verb {
        Shared::Pull(args) => pull::run(&args, settings),
        Shared::Push(args) => push::run(&args, settings),
        Shared::Tag(args) => tag::tag(&args, settings),
        Shared::Untag(args) => tag::untag(&args, settings),
        Shared::History(args) => history::run(&args, settings),
        Shared::Save(args) => save::run(&args, settings),
        Shared::Load(args) => load::run(&args, settings),
        Shared::Import(args) => import::run(args, settings),
        Shared::Search(args) => search::run(&args, settings),
    }
}

/// How to talk to registries.
#[derive(Debug, Clone, Args)]
pub struct RegistryFlags {
    /// Demand HTTPS and a valid certificate of the registry.
    #[arg(
        long, value_name = "BOOL", default_value_t = true, default_missing_value = "true",
        num_args = 0..=1, require_equals = true, action = clap::ArgAction::Set
    )]
    pub tls_verify: bool,
    /// Credentials, in place of those that `vxn login` keeps.
    #[arg(long, value_name = "FILE")]
    pub authfile: Option<PathBuf>,
}

/// The store that the settings name.
pub fn store(settings: &Settings) -> Result<Store> {
    Ok(Store::open(&settings.root.value)?)
}

/// The image that a user means.
fn lookup(store: &Store, text: &str, settings: &Settings) -> Result<Found> {
    Ok(store.lookup(text, &settings.registry.value)?)
}

/// A reference in which a name without a registry belongs to the settings' one.
fn reference(text: &str, settings: &Settings) -> Result<Reference> {
    Ok(Reference::parse_in(text, &settings.registry.value)?)
}

/// The name of a new image: one of a registry's, with a tag.
pub fn tag_name(text: &str, settings: &Settings) -> Result<Reference> {
    let name = reference(text, settings)?;
    if matches!(name.in_registry(), Some((_, At::Tag(_)))) {
        return Ok(name);
    }
    bail!("an image cannot be called {text}")
}

/// Applies `--change` to the `config` object of a configuration.
pub fn change_config(config: &mut Map<String, Value>, instructions: &[String]) -> Result<()> {
    for instruction in instructions {
        change::apply(config, instruction)
            .map_err(anyhow::Error::msg)
            .with_context(|| format!("--change {instruction:?}"))?;
    }
    Ok(())
}

/// The images that containers are made of.
pub fn used(settings: &Settings) -> Result<InUse> {
    Ok(in_use(&settings.root.value)?)
}

/// What an image may cost by the settings.
pub fn limits(settings: &Settings) -> merge::Limits {
    merge::Limits { unpacked: settings.image_limit.value.bytes(), ..merge::Limits::default() }
}

/// How images are made of what is here: no registry is asked.
///
/// # Errors
/// The settings want root disks that cannot be.
pub fn locally(settings: &Settings) -> Result<PullOptions> {
    let formats = formats(Guest::of(settings), settings)?;
    Ok(PullOptions { limits: limits(settings), formats, ..PullOptions::default() })
}
