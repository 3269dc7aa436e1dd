//! `vxn volume prune`.

use std::io::{self, BufRead, IsTerminal, Write};
use std::process::ExitCode;

use anyhow::{Context, anyhow, bail};
use clap::Args;

use super::super::failure::Hint;
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
    if !args.force && !sure(args.all)? {
        return Ok(ExitCode::SUCCESS);
    }
    let root = &settings.root.value;
    let (volumes, users) = (Volumes::new(root), in_use(root)?);
    let (mut removed, mut freed) = (Vec::new(), 0);
    for volume in volumes.list()? {
        let wanted = args.filter.iter().all(|filter| filter.holds(&volume, false));
        if !wanted || users.contains_key(&volume.name) || !(args.all || volume.is_anonymous()) {
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
    if !removed.is_empty() {
        println!("Deleted Volumes:\n{}\n", removed.join("\n"));
    }
    println!("Total reclaimed space: {}", bytes(freed));
    Ok(ExitCode::SUCCESS)
}

/// Asks, as docker does.
fn sure(all: bool) -> anyhow::Result<bool> {
    if !io::stdin().is_terminal() {
        return Err(anyhow!("nobody is there to confirm")).context(Hint("use --force".to_owned()));
    }
    let which = if all { "all" } else { "anonymous" };
    println!("WARNING! This will remove {which} local volumes that no container uses.");
    print!("Are you sure you want to continue? [y/N] ");
    io::stdout().flush()?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
