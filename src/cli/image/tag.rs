//! `vxn tag`, `vxn untag`.

use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Args;

use super::{lookup, reference, store};
use crate::cli::failure::Hint;
use crate::config::Settings;
use crate::image::At;

/// `vxn tag`.
#[derive(Debug, Args)]
pub struct TagArgs {
    /// Which image.
    image: String,
    /// Its new names.
    #[arg(required = true, value_name = "NAME[:TAG]")]
    names: Vec<String>,
}

/// `vxn untag`.
#[derive(Debug, Args)]
pub struct UntagArgs {
    /// Which image.
    image: String,
    /// The names to take away; all of them if none is given.
    #[arg(value_name = "NAME[:TAG]")]
    names: Vec<String>,
}

/// Runs `vxn tag`.
pub fn tag(args: &TagArgs, settings: &Settings) -> Result<ExitCode> {
    let store = store(settings)?;
    let image = lookup(&store, &args.image, settings)?;
    for text in &args.names {
        let name = reference(text, settings)?;
        if !matches!(name.in_registry(), Some((_, At::Tag(_)))) {
            return Err(anyhow::anyhow!("{text:?} cannot be a tag"))
                .context(Hint("a tag is written NAME[:TAG]".to_owned()));
        }
        store.tag(&image.digest, &name)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Runs `vxn untag`.
pub fn untag(args: &UntagArgs, settings: &Settings) -> Result<ExitCode> {
    let store = store(settings)?;
    let image = lookup(&store, &args.image, settings)?;
    let known = store.summary(&image.digest)?.names;
    let mut names = Vec::new();
    for text in &args.names {
        let found = lookup(&store, text, settings)?;
        match found.name.filter(|name| known.contains(name)) {
            Some(name) => names.push(name),
            None => bail!("{text} is no name of {}", args.image),
        }
    }
    store.untag(if args.names.is_empty() { &known } else { &names })?;
    Ok(ExitCode::SUCCESS)
}
