//! `vxn image prune`.

use std::io::{self, BufRead, IsTerminal, Write};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Args;

use super::filter::{Filter, created, has_label};
use super::{remove, store, used};
use crate::cli::failure::Hint;
use crate::cli::format::bytes;
use crate::config::Settings;
use crate::image::store::Freed;
use crate::oci::{self, disks};

/// `vxn image prune`, `vxn system prune`.
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
    ask_and_prune(args, "", settings, || Ok(0))
}

/// Runs `vxn system prune`.
pub fn system(args: &PruneArgs, settings: &Settings) -> Result<ExitCode> {
    // They are no images, and no filter of images picks them.
    if !args.filter.is_empty() {
        return run(args, settings);
    }
    let disks = || Ok(disks::prune(&oci::store(&settings.root.value))?);
    ask_and_prune(args, ", and root disks that OCI containers can share", settings, disks)
}

/// Removes images, and what `more` frees besides.
fn ask_and_prune(
    args: &PruneArgs,
    others: &str,
    settings: &Settings,
    more: impl FnOnce() -> Result<u64>,
) -> Result<ExitCode> {
    let which = if args.all { "container" } else { "name" };
    let what = format!("all images without a {which}, and what broken pulls left{others}");
    if !args.force && !sure(&format!("WARNING! This will remove {what}."))? {
        return Ok(ExitCode::SUCCESS);
    }
    let freed = prune(args.all, &args.filter, settings)?;
    let more = more()?;
    remove::print(&freed);
    println!("Total reclaimed space: {}", bytes(freed.bytes + more));
    Ok(ExitCode::SUCCESS)
}

/// Removes what nothing needs.
fn prune(all: bool, filters: &[Filter], settings: &Settings) -> Result<Freed> {
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

/// Asks, as docker does.
fn sure(warning: &str) -> Result<bool> {
    if !io::stdin().is_terminal() {
        return Err(anyhow::anyhow!("nobody is there to confirm"))
            .context(Hint("use --force".to_owned()));
    }
    println!("{warning}");
    print!("Are you sure you want to continue? [y/N] ");
    io::stdout().flush()?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
