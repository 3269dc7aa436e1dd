//! `vxn system prune`.

use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Args;

use super::super::confirm::sure;
use super::super::engine::Engine;
use super::super::format::bytes;
use super::super::image::filter::Filter;
use super::super::image::{prune as images, remove};
use super::super::volume::{filter::Filter as VolumeFilter, prune as volumes};
use super::super::{network, rm};
use super::df::layer_size;
use crate::config::Settings;
use crate::container::definition::Definition;
use crate::oci::{self, disks};

/// `vxn system prune`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  vxn system prune\n  \
    vxn system prune --all --volumes --force --filter until=24h")]
pub struct PruneArgs {
    /// All images that no container is made of, not only those without a name.
    #[arg(short, long)]
    all: bool,
    /// Volumes without a name that no container uses, too.
    #[arg(long)]
    volumes: bool,
    /// Do not ask.
    #[arg(short, long)]
    force: bool,
    /// Only containers, images and volumes for which this holds: label=KEY[=VALUE], or
    /// until=TIME, which volumes do not know. Networks stay then.
    #[arg(long, value_name = "KEY=VALUE")]
    filter: Vec<Filter>,
}

/// Removes containers first: what only they need goes after them.
pub fn run(args: &PruneArgs, settings: &Settings) -> Result<ExitCode> {
    check(args)?;
    if !args.force && !sure(&warning(args))? {
        return Ok(ExitCode::SUCCESS);
    }
    let engine = Engine::new("system prune", settings)?;
    let (containers, mut freed) = remove_containers(&engine, &args.filter)?;
    list("Containers", &containers);
    if args.filter.is_empty() {
        list("Networks", &network::remove_unused(&settings.networks())?);
    }
    if args.volumes {
        let filters: Vec<VolumeFilter> = args.filter.iter().filter_map(of_volumes).collect();
        let (names, bytes) = volumes::remove_unused(false, &filters, settings)?;
        list("Volumes", &names);
        freed += bytes;
    }
    let images = images::prune(args.all, &args.filter, settings)?;
    if !(images.untagged.is_empty() && images.deleted.is_empty()) {
        println!("Deleted Images:");
        remove::print(&images);
        println!();
    }
    // No filter picks them.
    if args.filter.is_empty() {
        freed += disks::prune(&oci::store(&settings.root.value))?;
    }
    println!("Total reclaimed space: {}", bytes(freed + images.bytes));
    Ok(ExitCode::SUCCESS)
}

fn check(args: &PruneArgs) -> Result<()> {
    for filter in &args.filter {
        match filter {
            Filter::Label(..) => {}
            Filter::Until(_) if args.volumes => {
                bail!("--filter until= and --volumes cannot go together: volumes have no such time")
            }
            Filter::Until(_) => {}
            _ => bail!("system prune goes by label or until only"),
        }
    }
    Ok(())
}

fn warning(args: &PruneArgs) -> String {
    let which = if args.all { "container" } else { "name" };
    let mut what = vec!["all containers that do not run".to_owned()];
    if args.filter.is_empty() {
        what.push("all networks that no container is on".to_owned());
    }
    if args.volumes {
        what.push("all anonymous volumes that no container uses".to_owned());
    }
    what.push(format!("all images without a {which}, and what broken pulls left"));
    if args.filter.is_empty() {
        what.push("all root disks that OCI containers can share".to_owned());
    }
    format!("This will remove:\n  - {}", what.join("\n  - "))
}

fn list(what: &str, names: &[String]) {
    if !names.is_empty() {
        println!("Deleted {what}:\n{}\n", names.join("\n"));
    }
}

/// What a filter says to volumes.
fn of_volumes(filter: &Filter) -> Option<VolumeFilter> {
    match filter {
        Filter::Label(label, value) => Some(VolumeFilter::Label(label.clone(), value.clone())),
        _ => None,
    }
}

/// Removes all that do not run. Returns their ids and what they took, in bytes.
fn remove_containers(engine: &Engine, filters: &[Filter]) -> Result<(Vec<String>, u64)> {
    let (mut removed, mut freed) = (Vec::new(), 0);
    for definition in engine.store.list()? {
        let wanted = filters.iter().all(|filter| holds(filter, &definition));
        if !wanted || engine.condition(&definition)?.live().is_some() {
            continue;
        }
        let size = layer_size(&engine.store, &definition);
        match rm::remove(engine, &definition, false) {
            Ok(()) => {
                freed += size;
                removed.push(definition.id.to_string());
            }
            // Somebody has started it, or was quicker.
            Err(_) if !lies(engine, &definition) => {}
            Err(e) => return Err(e),
        }
    }
    Ok((removed, freed))
}

/// Whether a container is there and does not run.
fn lies(engine: &Engine, definition: &Definition) -> bool {
    let there = engine.store.load(&definition.id).is_ok();
    there && engine.condition(definition).is_ok_and(|condition| condition.live().is_none())
}

fn holds(filter: &Filter, definition: &Definition) -> bool {
    match filter {
        Filter::Label(label, value) => {
            let found = definition.labels.get(label);
            found.is_some_and(|found| value.as_ref().is_none_or(|value| value == found))
        }
        Filter::Until(limit) => definition.created < *limit,
        _ => false,
    }
}
