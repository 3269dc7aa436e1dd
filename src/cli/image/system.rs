//! `vxn system df | prune | check`.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{RegistryFlags, Show, limits, prune, store, used};
use crate::cli::format::{Format, Row, bytes, columns};
use crate::config::Settings;
use crate::image::PullOptions;
use crate::image::store::Remedy;

/// `vxn system …`.
#[derive(Debug, Subcommand)]
pub enum SystemVerb {
    /// Show what takes how much disk.
    Df(DfArgs),
    /// Remove what nothing needs.
    Prune(prune::PruneArgs),
    /// Verify every digest and every root disk, and repair what can be.
    Check(CheckArgs),
}

/// `vxn system df`.
#[derive(Debug, Args)]
pub struct DfArgs {
    /// Print each line so: json, or text with {{.Field}} in it.
    #[arg(long, value_name = "FORMAT")]
    format: Option<Format>,
}

/// `vxn system check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// Only look: change nothing.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    registry: RegistryFlags,
}

/// Runs one of them.
pub fn run(verb: SystemVerb, settings: &Settings) -> Result<ExitCode> {
    match verb {
        SystemVerb::Df(args) => df(&args, settings),
        SystemVerb::Prune(args) => prune::system(&args, settings),
        SystemVerb::Check(args) => check(&args, settings),
    }
}

fn df(args: &DfArgs, settings: &Settings) -> Result<ExitCode> {
    let usage = store(settings)?.usage(&used(settings)?)?;
    let share = (usage.reclaimable * 100).checked_div(usage.bytes).unwrap_or(0);
    let row = json!({
        "Type": "Images",
        "TotalCount": usage.images,
        "Active": usage.active,
        "Size": bytes(usage.bytes),
        "Reclaimable": format!("{} ({share}%)", bytes(usage.reclaimable)),
    });
    let rows: Vec<Row> = [row].into_iter().filter_map(|row| row.as_object().cloned()).collect();
    if let Some(format) = &args.format {
        print!("{}", format.render(&rows)?);
        return Ok(ExitCode::SUCCESS);
    }
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let fields = ["Type", "TotalCount", "Active", "Size", "Reclaimable"];
    let mut lines =
        vec![["TYPE", "TOTAL", "ACTIVE", "SIZE", "RECLAIMABLE"].map(str::to_owned).to_vec()];
    lines.extend(rows.iter().map(|row| fields.map(|field| text(&row[field])).to_vec()));
    print!("{}", columns(&lines));
    Ok(ExitCode::SUCCESS)
}

/// Exit code 1 when something is wrong and stays so.
fn check(args: &CheckArgs, settings: &Settings) -> Result<ExitCode> {
    let store = store(settings)?;
    let options = PullOptions {
        tls_verify: args.registry.tls_verify,
        authfile: args.registry.authfile.clone(),
        limits: limits(settings),
        ..PullOptions::default()
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
