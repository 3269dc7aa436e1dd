//! `vxn inspect` of images.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use serde_json::{Value, json};

use super::{lookup, store};
use crate::cli::failure::Failure;
use crate::cli::format::{Format, Row};
use crate::config::Settings;
use crate::image::store::Store;

/// `vxn inspect`.
#[derive(Debug, Args)]
pub struct InspectArgs {
    /// Print each image so: json, or text with {{.Field}} in it.
    #[arg(short, long, value_name = "FORMAT")]
    format: Option<Format>,
    /// Which images.
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<String>,
}

/// Runs `vxn inspect`.
pub fn run(args: &InspectArgs, settings: &Settings) -> Result<ExitCode> {
    let store = store(settings)?;
    let (mut rows, mut code) = (Vec::new(), ExitCode::SUCCESS);
    for text in &args.images {
        match inspect(&store, text, settings) {
            Ok(row) => rows.push(row),
            Err(e) => code = Failure::from(e).print(1),
        }
    }
    match &args.format {
        Some(format) => print!("{}", format.render(&rows)?),
        None => println!("{}", serde_json::to_string_pretty(&rows)?),
    }
    Ok(code)
}

/// What docker shows of an image.
fn inspect(store: &Store, text: &str, settings: &Settings) -> Result<Row> {
    let image = store.summary(&lookup(store, text, settings)?.digest)?;
    let raw = store.raw_config(&image.id)?;
    let part = |name: &str| raw.get(name).cloned().unwrap_or(Value::Null);
    let layers: Vec<String> = image.layers.iter().map(|l| l.diff_id.to_string()).collect();
    let blobs: Vec<Value> = image
        .layers
        .iter()
        .map(|l| json!({"Digest": l.digest, "Size": store.blob_size(&l.digest)}))
        .collect();
    let row = json!({
        "Id": image.id,
        "Digest": image.digest,
        "RepoTags": image.names,
        "RepoDigests": image.repo_digests,
        "Created": part("created"),
        "Author": part("author"),
        "Architecture": part("architecture"),
        "Variant": part("variant"),
        "Os": part("os"),
        "Size": image.size,
        "Config": part("config"),
        "RootFS": {"Type": "layers", "Layers": layers},
        "Layers": blobs,
        "RootDisk": store.disk_of(&image),
        "History": part("history"),
    });
    Ok(serde_json::from_value(row)?)
}
