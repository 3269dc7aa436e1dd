//! `vxn network`: the networks that containers can be on.

mod create;
mod membership;
mod show;

use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::confirm::sure;
use super::failure::Failure;
use crate::config::Settings;
use crate::network::{DEFAULT, Error, Networks};

/// Manage networks.
#[derive(Debug, Args)]
pub struct NetworkArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a network. Its bridge is there while a container is on it.
    Create(Box<create::CreateArgs>),
    /// List the networks.
    #[command(visible_alias = "list")]
    Ls(show::ListArgs),
    /// Remove networks that no container is on.
    #[command(visible_alias = "remove")]
    Rm {
        /// Names.
        #[arg(required = true, value_name = "NETWORK")]
        names: Vec<String>,
        /// A network that does not exist is no error.
        #[arg(short, long)]
        force: bool,
    },
    /// Show networks and who is on them, as JSON.
    Inspect {
        /// Names.
        #[arg(required = true, value_name = "NETWORK")]
        names: Vec<String>,
    },
    /// Remove all networks that no container is on, but for the default one.
    Prune {
        /// Do not ask.
        #[arg(short, long)]
        force: bool,
    },
    /// Put a container on another network. One that runs gets an interface at once, the
    /// others with their next start.
    Connect(membership::ConnectArgs),
    /// Take a container off a network.
    Disconnect(membership::DisconnectArgs),
    /// Set bridges and rules up again, after somebody has flushed the host's
    /// ruleset.
    Reload,
}

/// Runs `vxn network`.
pub fn run(args: NetworkArgs, settings: &Settings) -> anyhow::Result<ExitCode> {
    let networks = settings.networks();
    match args.command {
        Command::Create(args) => create::run(*args, &networks),
        Command::Ls(args) => show::list(&args, &networks),
        Command::Rm { names, force } => Ok(remove(&networks, &names, force)),
        Command::Inspect { names } => show::inspect(&names, &networks),
        Command::Prune { force } => prune(&networks, force),
        Command::Connect(args) => membership::connect(args, settings),
        Command::Disconnect(args) => membership::disconnect(&args, settings),
        Command::Reload => Ok(networks.reload().map(|()| ExitCode::SUCCESS)?),
    }
}

/// All that can be removed is; each that cannot is named.
fn remove(networks: &Networks, names: &[String], force: bool) -> ExitCode {
    let mut code = ExitCode::SUCCESS;
    for name in names {
        match networks.remove(name) {
            Ok(()) => println!("{name}"),
            Err(Error::Unknown(_)) if force => {}
            Err(e) => code = Failure::from(anyhow::Error::from(e)).print(1),
        }
    }
    code
}

fn prune(networks: &Networks, force: bool) -> anyhow::Result<ExitCode> {
    if !force && !sure("This will remove all networks that no container is on.")? {
        return Ok(ExitCode::SUCCESS);
    }
    remove_unused(networks)?.iter().for_each(|name| println!("{name}"));
    Ok(ExitCode::SUCCESS)
}

/// Removes all networks that no container is on, but for the default one. Returns their
/// names.
pub fn remove_unused(networks: &Networks) -> anyhow::Result<Vec<String>> {
    let mut removed = Vec::new();
    for network in networks.list()?.iter().filter(|network| network.name != DEFAULT) {
        match networks.remove(&network.name) {
            Ok(()) => removed.push(network.name.clone()),
            // Somebody is on it, or somebody else was quicker.
            Err(Error::InUse { .. } | Error::Unknown(_)) => {}
            Err(e) => return Err(e.into()),
        }
    }
    Ok(removed)
}
