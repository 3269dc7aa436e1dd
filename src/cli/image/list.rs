//! `vxn images`.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::filter::{Filter, created, keep, named_like};
use super::store;
use crate::cli::format::{Format, Row, ago, bytes, columns};
use crate::config::Settings;
use crate::image::store::Summary;
use crate::image::{At, Reference};

/// `vxn images`.
#[derive(Debug, Args)]
#[command(after_help = "Fields for --format: Repository, Tag, Digest, ID, Created, CreatedAt, \
    CreatedSince, Size, Bytes, Names.\n\nExamples:\n  vxn images\n  \
    vxn images --filter dangling=true -q\n  vxn images --format '{{.Repository}}:{{.Tag}} {{.Size}}'")]
pub struct ListArgs {
    /// Show intermediate images as well; vxn makes none.
    #[arg(short, long)]
    all: bool,
    /// Print ids only.
    #[arg(short, long)]
    quiet: bool,
    /// Show digests.
    #[arg(long)]
    digests: bool,
    /// Do not shorten ids.
    #[arg(long)]
    no_trunc: bool,
    /// Only images for which this holds: dangling=BOOL, label=KEY[=VALUE],
    /// reference=PATTERN, before=IMAGE, since=IMAGE, until=TIME.
    #[arg(short, long, value_name = "KEY=VALUE")]
    filter: Vec<Filter>,
    /// Print each image so: json, or text with {{.Field}} in it.
    #[arg(long, value_name = "FORMAT")]
    format: Option<Format>,
    /// Print JSON.
    #[arg(long, conflicts_with_all = ["format", "quiet"])]
    json: bool,
    /// Only images with a name like this.
    #[arg(value_name = "PATTERN")]
    pattern: Option<String>,
}

/// Runs `vxn images`.
pub fn run(args: &ListArgs, settings: &Settings) -> Result<ExitCode> {
    let store = store(settings)?;
    let mut images = store.images()?;
    keep(&mut images, &args.filter, &store, settings)?;
    if let Some(pattern) = &args.pattern {
        for image in &mut images {
            image.names.retain(|name| named_like(name, pattern));
        }
        images.retain(|image| !image.names.is_empty());
    }
    let rows: Vec<Row> = images.iter().flat_map(|image| rows(image, args.no_trunc)).collect();
    print!("{}", text(args, &rows)?);
    Ok(ExitCode::SUCCESS)
}

fn text(args: &ListArgs, rows: &[Row]) -> Result<String> {
    if args.json {
        return Ok(serde_json::to_string_pretty(rows)? + "\n");
    }
    if args.quiet {
        let mut ids: Vec<&str> = rows.iter().filter_map(|row| row["ID"].as_str()).collect();
        ids.dedup();
        return Ok(ids.into_iter().map(|id| format!("{id}\n")).collect());
    }
    if let Some(format) = &args.format {
        return format.render(rows);
    }
    let fields: &[(&str, &str)] = &[
        ("REPOSITORY", "Repository"),
        ("TAG", "Tag"),
        ("DIGEST", "Digest"),
        ("IMAGE ID", "ID"),
        ("CREATED", "CreatedSince"),
        ("SIZE", "Size"),
    ];
    let fields: Vec<_> = fields.iter().filter(|(_, f)| args.digests || *f != "Digest").collect();
    let mut lines = vec![fields.iter().map(|(heading, _)| (*heading).to_owned()).collect()];
    let cell = |row: &Row, field: &str| row[field].as_str().unwrap_or_default().to_owned();
    lines.extend(rows.iter().map(|row| fields.iter().map(|(_, f)| cell(row, f)).collect()));
    Ok(columns(&lines))
}

/// A row for each name, or one for an image without.
fn rows(image: &Summary, no_trunc: bool) -> Vec<Row> {
    let nameless = [String::new()];
    let names = if image.names.is_empty() { &nameless[..] } else { &image.names[..] };
    names.iter().filter_map(|name| row(image, name, no_trunc).as_object().cloned()).collect()
}

fn row(image: &Summary, name: &str, no_trunc: bool) -> Value {
    const NONE: &str = "<none>";
    let reference = Reference::parse(name).ok();
    let (repository, tag, digest) = match reference.as_ref().map(|r| (r, r.in_registry())) {
        None => (NONE.to_owned(), NONE.to_owned(), None),
        Some((reference, None)) => (reference.to_string(), NONE.to_owned(), None),
        Some((_, Some((repository, At::Digest(digest))))) => {
            (repository.to_owned(), NONE.to_owned(), Some(digest.to_string()))
        }
        Some((_, Some((repository, At::Tag(tag))))) => {
            let start = format!("{repository}@");
            let here = image.repo_digests.iter().find_map(|d| d.strip_prefix(&start));
            (repository.to_owned(), tag, here.map(str::to_owned))
        }
    };
    let time = created(&image.config);
    json!({
        "Repository": repository,
        "Tag": tag,
        "Digest": digest.unwrap_or_else(|| image.digest.to_string()),
        "ID": if no_trunc { image.id.to_string() } else { image.id.short() },
        "Created": time.as_second(),
        "CreatedAt": time.to_string(),
        "CreatedSince": match image.config.created() {
            Some(_) => ago(Timestamp::now().as_second() - time.as_second()),
            None => "N/A".to_owned(),
        },
        "Size": bytes(image.size),
        "Bytes": image.size,
        "Names": image.names,
    })
}
