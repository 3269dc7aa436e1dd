//! `vxn history`.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use jiff::Timestamp;
use serde_json::json;

use super::{lookup, store};
use crate::cli::format::{Format, Row, ago, bytes, columns};
use crate::config::Settings;
use crate::image::store::{Store, Summary};

/// `vxn history`.
#[derive(Debug, Args)]
#[command(
    after_help = "Fields for --format: ID, CreatedAt, CreatedSince, CreatedBy, Size, Comment."
)]
pub struct HistoryArgs {
    /// Do not shorten commands.
    #[arg(long)]
    no_trunc: bool,
    /// Print layer ids only.
    #[arg(short, long)]
    quiet: bool,
    /// Print each step so: json, or text with {{.Field}} in it.
    #[arg(long, value_name = "FORMAT")]
    format: Option<Format>,
    /// Which image.
    image: String,
}

/// docker's width for commands.
const WIDTH: usize = 45;

/// Runs `vxn history`.
pub fn run(args: &HistoryArgs, settings: &Settings) -> Result<ExitCode> {
    let store = store(settings)?;
    let image = store.summary(&lookup(&store, &args.image, settings)?.digest)?;
    let rows = rows(&store, &image, args.no_trunc);
    if let Some(format) = &args.format {
        print!("{}", format.render(&rows)?);
        return Ok(ExitCode::SUCCESS);
    }
    let cell = |row: &Row, field: &str| row[field].as_str().unwrap_or_default().to_owned();
    if args.quiet {
        rows.iter().for_each(|row| println!("{}", cell(row, "ID")));
        return Ok(ExitCode::SUCCESS);
    }
    let fields = ["ID", "CreatedSince", "CreatedBy", "Size", "Comment"];
    let mut lines =
        vec![["LAYER", "CREATED", "CREATED BY", "SIZE", "COMMENT"].map(str::to_owned).to_vec()];
    lines.extend(rows.iter().map(|row| fields.map(|field| cell(row, field)).to_vec()));
    print!("{}", columns(&lines));
    Ok(ExitCode::SUCCESS)
}

/// The steps, the latest first. Layers without a step of their own come last.
fn rows(store: &Store, image: &Summary, no_trunc: bool) -> Vec<Row> {
    let mut layers = image.layers.iter();
    let mut rows = Vec::new();
    for step in image.config.history().iter().flatten() {
        let layer = if step.empty_layer() == Some(true) { None } else { layers.next() };
        let time = step.created().as_ref().and_then(|text| text.parse::<Timestamp>().ok());
        let by = step.created_by().clone().unwrap_or_default();
        let by = by.split_whitespace().collect::<Vec<_>>().join(" ");
        let short = by.chars().take(WIDTH - 1).collect::<String>() + "…";
        rows.push(json!({
            "ID": layer.map_or("<missing>".to_owned(), |l| l.digest.short()),
            "CreatedAt": time.map(|time| time.to_string()).unwrap_or_default(),
            "CreatedSince": time.map_or("N/A".to_owned(), |time| {
                ago(Timestamp::now().as_second() - time.as_second())
            }),
            "CreatedBy": if no_trunc || by.chars().count() <= WIDTH { by } else { short },
            "Size": bytes(layer.map_or(0, |l| store.blob_size(&l.digest))),
            "Comment": step.comment().clone().unwrap_or_default(),
        }));
    }
    for layer in layers {
        rows.push(json!({
            "ID": layer.digest.short(), "CreatedAt": "", "CreatedSince": "N/A", "CreatedBy": "",
            "Size": bytes(store.blob_size(&layer.digest)), "Comment": "",
        }));
    }
    rows.iter().rev().filter_map(|row| row.as_object().cloned()).collect()
}
