//! `vxn rm` and `vxn rename`.

use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::Args;

use super::engine::{Engine, Names};
use super::failure::Hint;
use crate::config::Settings;
use crate::container::Name;
use crate::container::control::ToMonitor;
use crate::container::definition::Definition;
use crate::container::{journal, volumes};
use crate::libxl::{Ctx, DomId};

/// Remove containers and all that they have written.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  vxn rm web\n  vxn rm -f $(vxn ps -aq)")]
pub struct RmArgs {
    /// Kill those that run.
    #[arg(short, long)]
    force: bool,
    /// Remove the volumes that were made for them, and have no name, too.
    #[arg(short, long)]
    volumes: bool,
    #[command(flatten)]
    names: Names,
}

/// Give a container another name, and its DomU.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  vxn rename web old-web")]
pub struct RenameArgs {
    /// Name or id.
    container: String,
    /// The new name.
    name: Name,
}

/// Removes containers.
pub fn rm(args: &RmArgs, settings: &Settings) -> anyhow::Result<ExitCode> {
    let engine = Engine::new("rm", settings)?;
    engine.each(&args.names.containers, |engine, definition| {
        remove(engine, &definition, args.force)?;
        if args.volumes {
            volumes::remove_anonymous(engine.store.root(), &definition)?;
        }
        Ok(String::new())
    })
}

/// Removes a container; one that runs only by `force`.
pub fn remove(engine: &Engine, definition: &Definition, force: bool) -> anyhow::Result<()> {
    let condition = engine.condition(definition)?;
    if condition.live().is_some() {
        if !force {
            bail!(
                "cannot remove container {}: it is {}: stop it first, or force its removal",
                definition.name,
                condition.word()
            );
        }
        engine.ask_to_the_end(definition, &ToMonitor::Destroy)?;
        if definition.remove {
            return Ok(());
        }
    }
    let entry = engine.take(definition)?;
    engine.store.remove(&definition.id)?;
    Ok(entry.remove()?)
}

/// Renames a container.
pub fn rename(args: &RenameArgs, settings: &Settings) -> anyhow::Result<ExitCode> {
    let engine = Engine::new("rename", settings)?;
    let mut definition = engine.store.find(&args.container)?;
    if definition.name == args.name {
        return Err(anyhow::anyhow!("container {} has this name already", args.name))
            .context(Hint("give another one".to_owned()));
    }
    definition.name = args.name.clone();
    match engine.take(&definition) {
        Ok(entry) => {
            engine.store.update(&definition)?;
            entry.remove()?;
        }
        // Its monitor goes by the id, so only the DomU has to follow.
        Err(journal::Error::Busy(_)) => {
            engine.store.update(&definition)?;
            let condition = engine.condition(&definition)?;
            if let Some(domid) = condition.live().and_then(|live| live.domid) {
                Ctx::open()?.rename(DomId(domid), definition.name.as_str())?;
            }
        }
        Err(e) => return Err(e.into()),
    }
    Ok(ExitCode::SUCCESS)
}
