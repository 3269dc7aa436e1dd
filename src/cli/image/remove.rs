//! `vxn rmi`.

use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;

use super::{lookup, store, used};
use crate::cli::failure::{Failure, Hint};
use crate::config::Settings;
use crate::image::store::{Freed, InUse, Store};

/// `vxn rmi`.
#[derive(Debug, Args)]
pub struct RemoveArgs {
    /// Also when the image has several names or containers: those containers
    /// keep it until they are gone.
    #[arg(short, long)]
    force: bool,
    /// Remove all images.
    #[arg(short, long, conflicts_with = "images")]
    all: bool,
    /// Which images.
    #[arg(required_unless_present = "all", value_name = "IMAGE")]
    images: Vec<String>,
}

/// Runs `vxn rmi`: one image's failure does not spare the others.
pub fn run(args: &RemoveArgs, settings: &Settings) -> Result<ExitCode> {
    let store = store(settings)?;
    let in_use = used(settings)?;
    let mut images = args.images.clone();
    if args.all {
        images = store.images()?.iter().map(|image| image.id.to_string()).collect();
    }
    let mut code = ExitCode::SUCCESS;
    for text in &images {
        match remove(&store, text, args.force || args.all, &in_use, settings) {
            Ok(freed) => print(&freed),
            Err(e) => code = Failure::from(e).print(1),
        }
    }
    Ok(code)
}

fn remove(
    store: &Store,
    text: &str,
    force: bool,
    in_use: &InUse,
    settings: &Settings,
) -> Result<Freed> {
    let image = lookup(store, text, settings)?;
    // An image whose documents are damaged can be removed too.
    let names = store.summary(&image.digest).map(|summary| summary.names).unwrap_or_default();
    let last = image.name.is_none() || names.len() < 2;
    if let Some(containers) = in_use.get(&image.digest).filter(|_| last && !force) {
        let who = containers.join(", ");
        return Err(anyhow::anyhow!("cannot remove {text}: it is the image of container {who}"))
            .context(Hint("remove the container first, or use --force".to_owned()));
    }
    match &image.name {
        Some(name) => Ok(store.remove_name(name, in_use)?),
        None if names.len() > 1 && !force => {
            Err(anyhow::anyhow!("cannot remove {text}: it has the names {}", names.join(", ")))
                .context(Hint("remove the names, or use --force".to_owned()))
        }
        None => Ok(store.remove_image(&image.digest, in_use)?),
    }
}

/// docker's words.
pub fn print(freed: &Freed) {
    freed.untagged.iter().for_each(|name| println!("Untagged: {name}"));
    freed.deleted.iter().for_each(|id| println!("Deleted: {id}"));
}
