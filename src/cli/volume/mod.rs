//! `vxn volume`: directories that outlive containers.

pub mod filter;
pub mod prune;
mod show;

use std::collections::BTreeMap;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, Subcommand};

use super::engine::need_root;
use super::failure::Failure;
use crate::config::Settings;
use crate::container::volumes::in_use;
use crate::volume::{Error, Name, Volume, Volumes};

/// Manage volumes.
#[derive(Debug, Args)]
pub struct VolumeArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a volume, and print its name. One that is there stays what it is.
    Create(CreateArgs),
    /// List the volumes.
    #[command(visible_alias = "list")]
    Ls(show::ListArgs),
    /// Remove volumes that no container uses, and all that is in them.
    #[command(visible_alias = "remove")]
    Rm {
        /// Names.
        #[arg(required = true, value_name = "VOLUME")]
        names: Vec<String>,
        /// A volume that does not exist is no error.
        #[arg(short, long)]
        force: bool,
    },
    /// Show all there is to know of volumes, as JSON.
    Inspect(show::InspectArgs),
    /// Remove the volumes without a name that no container uses.
    Prune(prune::PruneArgs),
}

/// Arguments of `vxn volume create`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  vxn volume create data\n  \
    vxn run -d --name db -v data:/var/lib/postgresql/data postgres")]
struct CreateArgs {
    /// Name of the volume; without one it is made up.
    #[arg(value_name = "VOLUME")]
    name: Option<Name>,
    /// Kind of volume: local.
    #[arg(short, long, default_value = "local", value_parser = ["local"])]
    driver: String,
    /// Label it.
    #[arg(long, value_name = "KEY[=VALUE]")]
    label: Vec<String>,
}

/// Runs `vxn volume`.
pub fn run(args: VolumeArgs, settings: &Settings) -> anyhow::Result<ExitCode> {
    need_root("volume")?;
    let volumes = Volumes::new(&settings.root.value);
    match args.command {
        Command::Create(args) => create(args, &volumes),
        Command::Ls(args) => show::list(&args, settings),
        Command::Rm { names, force } => remove(&names, force, settings),
        Command::Inspect(args) => show::inspect(&args, &volumes),
        Command::Prune(args) => prune::run(&args, settings),
    }
}

fn create(args: CreateArgs, volumes: &Volumes) -> anyhow::Result<ExitCode> {
    let pair = |text: &String| {
        let (key, value) = text.split_once('=').unwrap_or((text, ""));
        (key.to_owned(), value.to_owned())
    };
    let labels: BTreeMap<_, _> = args.label.iter().map(pair).collect();
    let volume = match args.name {
        Some(name) => Volume::new(name, labels),
        None => Volume::new(Name::random().context("cannot make a name")?, labels).unnamed(),
    };
    println!("{}", volumes.create(volume)?.name);
    Ok(ExitCode::SUCCESS)
}

/// All that can be removed are; each that cannot is named.
fn remove(names: &[String], force: bool, settings: &Settings) -> anyhow::Result<ExitCode> {
    let root = &settings.root.value;
    let (volumes, users) = (Volumes::new(root), in_use(root)?);
    let mut code = ExitCode::SUCCESS;
    for word in names {
        let removed = named(word).and_then(|name| {
            volumes.remove(&name, users.get(&name).map_or(&[][..], Vec::as_slice))
        });
        match removed {
            Ok(()) => println!("{word}"),
            Err(Error::Unknown(_)) if force => println!("{word}"),
            Err(e) => code = Failure::from(anyhow::Error::from(e)).print(1),
        }
    }
    Ok(code)
}

/// What cannot be a name is nobody's.
fn named(word: &str) -> Result<Name, Error> {
    word.parse().map_err(|_| Error::Unknown(word.to_owned()))
}
