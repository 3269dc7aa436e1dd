//! `vxn volume prune`.

use std::process::ExitCode;

use anyhow::bail;
use clap::Args;

use super::super::confirm::sure;
use super::super::format::bytes;
use super::filter::Filter;
use crate::config::Settings;
use crate::container::volumes::in_use;
use crate::volume::{Error, Volumes};

/// Arguments of `vxn volume prune`.
#[derive(Debug, Args)]
pub struct PruneArgs {
    /// Those with a name too.
    #[arg(short, long)]
    all: bool,
    /// Do not ask.
    #[arg(short, long)]
    force: bool,
    /// Only those with label= or label!= so.
    #[arg(long, value_name = "KEY=VALUE")]
    filter: Vec<Filter>,
}

/// Removes what no container uses.
pub fn run(args: &PruneArgs, settings: &Settings) -> anyhow::Result<ExitCode> {
    if args.filter.iter().any(|f| !matches!(f, Filter::Label(..) | Filter::NoLabel(..))) {
        bail!("volumes are pruned by label only");
    }
    let which = if args.all { "all" } else { "anonymous" };
    let warning = format!("This will remove {which} local volumes that no container uses.");
    if !args.force && !sure(&warning)? {
        return Ok(ExitCode::SUCCESS);
    }
    let (removed, freed) = remove_unused(args.all, &args.filter, settings)?;
    if !removed.is_empty() {
        println!("Deleted Volumes:\n{}\n", removed.join("\n"));
    }
    println!("Total reclaimed space: {}", bytes(freed));
    Ok(ExitCode::SUCCESS)
}

/// Removes the volumes without a name, or `all`, that no container uses. Returns their
/// names and what they took, in bytes.
pub fn remove_unused(
    all: bool,
    filters: &[Filter],
    settings: &Settings,
) -> anyhow::Result<(Vec<String>, u64)> {
    let root = &settings.root.value;
    let (volumes, users) = (Volumes::new(root), in_use(root)?);
    let (mut removed, mut freed) = (Vec::new(), 0);
    for volume in volumes.list()? {
        let wanted = filters.iter().all(|filter| filter.holds(&volume, false));
        if !wanted || users.contains_key(&volume.name) || !(all || volume.is_anonymous()) {
            continue;
        }
        let size = volumes.size(&volume.name);
        match volumes.remove(&volume.name, &[]) {
            Ok(()) => {
                freed += size;
                removed.push(volume.name.to_string());
            }
            // Somebody else was quicker.
            Err(Error::Unknown(_)) => {}
            Err(e) => return Err(e.into()),
        }
    }
    Ok((removed, freed))
}
