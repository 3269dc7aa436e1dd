//! `vxn import`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;
use serde_json::{Map, Value};

use super::{Show, change_config, load, locally, store, tag_name};
use crate::cli::failure::Hint;
use crate::config::Settings;
use crate::image::Platform;

/// `vxn import`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  vxn import rootfs.tar.xz team/base:1\n  \
    curl https://example.org/rootfs.tar.gz | vxn import --change 'CMD [\"/bin/sh\"]' - base")]
pub struct ImportArgs {
    /// Change the configuration: CMD, ENTRYPOINT, ENV, EXPOSE, LABEL, STOPSIGNAL,
    /// USER, VOLUME or WORKDIR, as in a Dockerfile.
    #[arg(short, long, value_name = "INSTRUCTION")]
    change: Vec<String>,
    /// A comment for the history.
    #[arg(short, long)]
    message: Option<String>,
    /// Print the id only.
    #[arg(short, long)]
    quiet: bool,
    /// The platform that the programs in it are for: linux/ARCHITECTURE[/VARIANT].
    #[arg(long, value_name = "PLATFORM")]
    platform: Option<Platform>,
    /// The archive, compressed or not; - is stdin.
    file: PathBuf,
    /// A name for the image.
    #[arg(value_name = "NAME[:TAG]")]
    name: Option<String>,
}

/// Runs `vxn import`.
pub fn run(args: ImportArgs, settings: &Settings) -> Result<ExitCode> {
    let source = args.file.display().to_string();
    if source.starts_with("http://") || source.starts_with("https://") {
        return Err(anyhow::anyhow!("vxn import fetches nothing"))
            .context(Hint(format!("curl -L {source} | vxn import - NAME")));
    }
    let name = args.name.as_ref().map(|text| tag_name(text, settings)).transpose()?;
    let mut config = Map::new();
    change_config(&mut config, &args.change)?;
    let comment = args.message.unwrap_or_else(|| format!("Imported from {source}"));
    let mut options = locally(settings)?;
    options.platform = args.platform.unwrap_or(options.platform);
    let store = store(settings)?;
    let mut input = load::open(Some(&args.file))?;
    let mut show = if args.quiet { Show::nothing() } else { Show::on_stderr() };
    let mut progress = |step| show.step(step);
    let config = Value::Object(config);
    let digest =
        store.import(&mut *input, config, &comment, name.as_ref(), &options, &mut progress)?;
    show.end();
    println!("{}", store.summary(&digest)?.id);
    Ok(ExitCode::SUCCESS)
}
