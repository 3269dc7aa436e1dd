//! `vxn search`.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use serde_json::json;

use super::RegistryFlags;
use crate::cli::format::{Format, Row, columns};
use crate::config::Settings;
use crate::image::search::{Query, search};

/// `vxn search`.
#[derive(Debug, Args)]
#[command(after_help = "Fields for --format: Index, Name, Description, Stars, Official.\n\n\
    Examples:\n  vxn search postgres\n  vxn search registry.example:5000/team")]
pub struct SearchArgs {
    /// At most so many.
    #[arg(long, value_name = "N", default_value_t = 25, value_parser = clap::value_parser!(u32).range(1..=100))]
    limit: u32,
    /// Do not shorten descriptions.
    #[arg(long)]
    no_trunc: bool,
    /// Print each so: json, or text with {{.Field}} in it.
    #[arg(long, value_name = "FORMAT")]
    format: Option<Format>,
    #[command(flatten)]
    registry: RegistryFlags,
    /// A part of the name, after REGISTRY/ if it is not the settings' one.
    term: String,
}

/// docker's width for descriptions.
const WIDTH: usize = 45;

/// Runs `vxn search`.
pub fn run(args: &SearchArgs, settings: &Settings) -> Result<ExitCode> {
    let found = search(&Query {
        term: &args.term,
        registry: &settings.registry.value,
        limit: args.limit as usize,
        tls_verify: args.registry.tls_verify,
        authfile: args.registry.authfile.as_deref(),
    })?;
    let short = |text: &str| match text.chars().count() {
        n if n > WIDTH && !args.no_trunc => text.chars().take(WIDTH - 1).collect::<String>() + "…",
        _ => text.to_owned(),
    };
    let row = |hit: &crate::image::search::Hit| {
        json!({
            "Index": hit.registry, "Name": hit.name, "Description": short(&hit.description),
            "Stars": hit.stars.to_string(), "Official": if hit.official { "[OK]" } else { "" },
        })
    };
    let rows: Vec<Row> = found.iter().filter_map(|hit| row(hit).as_object().cloned()).collect();
    if let Some(format) = &args.format {
        print!("{}", format.render(&rows)?);
        return Ok(ExitCode::SUCCESS);
    }
    let fields = ["Name", "Description", "Stars", "Official"];
    let mut lines = vec![["NAME", "DESCRIPTION", "STARS", "OFFICIAL"].map(str::to_owned).to_vec()];
    let cell = |row: &Row, field: &str| row[field].as_str().unwrap_or_default().to_owned();
    lines.extend(rows.iter().map(|row| fields.map(|field| cell(row, field)).to_vec()));
    print!("{}", columns(&lines));
    Ok(ExitCode::SUCCESS)
}
