//! `vxn system df | prune | check`: what vxn keeps on disk, all kinds together.

mod check;
mod df;
mod prune;

use std::process::ExitCode;

use anyhow::Result;
use clap::Subcommand;

use crate::config::Settings;

/// `vxn system …`.
#[derive(Debug, Subcommand)]
pub enum SystemVerb {
    /// Show what takes how much disk.
    Df(df::DfArgs),
    /// Remove what nothing needs: containers that do not run, networks, images.
    Prune(prune::PruneArgs),
    /// Verify every digest and every root disk, and repair what can be.
    Check(check::CheckArgs),
}

/// Runs one of them.
pub fn run(verb: SystemVerb, settings: &Settings) -> Result<ExitCode> {
    match verb {
        SystemVerb::Df(args) => df::run(&args, settings),
        SystemVerb::Prune(args) => prune::run(&args, settings),
        SystemVerb::Check(args) => check::run(&args, settings),
    }
}
