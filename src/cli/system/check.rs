//! `vxn system check`.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;

use super::super::image::{RegistryFlags, Show, locally, store};
use crate::config::Settings;
use crate::image::PullOptions;
use crate::image::store::Remedy;

/// `vxn system check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// Only look: change nothing.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    registry: RegistryFlags,
}

/// Exit code 1 when something is wrong and stays so.
pub fn run(args: &CheckArgs, settings: &Settings) -> Result<ExitCode> {
    let store = store(settings)?;
    let options = PullOptions {
        tls_verify: args.registry.tls_verify,
        authfile: args.registry.authfile.clone(),
        ..locally(settings)?
    };
    let mut show = Show::on_stderr();
    let repair = (!args.dry_run).then_some(&options);
    let findings = store.check(repair, &mut |step| show.step(step))?;
    show.end();
    findings.iter().for_each(|finding| println!("{finding}"));
    if findings.is_empty() {
        println!("The store is clean.");
    }
    let wrong = |remedy: &Remedy| matches!(remedy, Remedy::None | Remedy::Failed(_));
    let bad = findings.iter().any(|finding| wrong(&finding.remedy));
    Ok(if bad { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
