//! `vxn image prune`.

use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Args;

use super::filter::{Filter, created, has_label};
use super::{remove, store, used};
use crate::cli::confirm::sure;
use crate::cli::format::bytes;
use crate::config::Settings;
use crate::image::store::Freed;

/// `vxn image prune`.
#[derive(Debug, Args)]
pub struct PruneArgs {
    /// All images that no container is made of, not only those without a name.
    #[arg(short, long)]
    all: bool,
    /// Do not ask.
    #[arg(short, long)]
    force: bool,
    /// Only images for which this holds: label=KEY[=VALUE] or until=TIME.
    #[arg(long, value_name = "KEY=VALUE")]
    filter: Vec<Filter>,
}

/// Runs `vxn image prune`.
pub fn run(args: &PruneArgs, settings: &Settings) -> Result<ExitCode> {
    let which = if args.all { "container" } else { "name" };
    let what = format!("all images without a {which}, and what broken pulls left");
    if !args.force && !sure(&format!("This will remove {what}."))? {
        return Ok(ExitCode::SUCCESS);
    }
    let freed = prune(args.all, &args.filter, settings)?;
    remove::print(&freed);
    println!("Total reclaimed space: {}", bytes(freed.bytes));
    Ok(ExitCode::SUCCESS)
}

/// Removes what nothing needs.
pub fn prune(all: bool, filters: &[Filter], settings: &Settings) -> Result<Freed> {
    for filter in filters {
        if !matches!(filter, Filter::Label(..) | Filter::Until(_)) {
            bail!("images are pruned by label or until only");
        }
    }
    let in_use = used(settings)?;
    let wanted = |documents: &crate::image::Documents| {
        filters.iter().all(|filter| match filter {
            Filter::Label(label, value) => has_label(&documents.config, label, value.as_deref()),
            Filter::Until(limit) => created(&documents.config) < *limit,
            _ => false,
        })
    };
    Ok(store(settings)?.prune(all, &in_use, &wanted)?)
}
