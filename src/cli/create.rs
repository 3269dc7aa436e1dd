//! `vxn create`.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Args;

use super::cidfile::CidFile;
use super::engine::Engine;
use super::prepare;
use super::spec::SpecArgs;
use crate::config::Settings;

/// Create a container without starting it, and print its id.
#[derive(Debug, Args)]
#[command(
    // As docker has it: the last of a repeated flag counts, and -h is the host name.
    args_override_self = true,
    disable_help_flag = true,
    override_usage = "vxn create [OPTIONS] IMAGE [COMMAND] [ARG]...",
    after_help = "Examples:\n  vxn create --name web nginx\n  vxn start web"
)]
pub struct CreateArgs {
    #[command(flatten)]
    spec: SpecArgs,
}

/// Creates a container.
pub fn run(args: CreateArgs, settings: &Settings) -> anyhow::Result<ExitCode> {
    let engine = Engine::new("create", settings)?;
    let cidfile = args.spec.cidfile.clone();
    let definition = prepare::definition(args.spec, settings)?;
    let cidfile = CidFile::write(cidfile, &definition.id)?;
    engine.store.add(&definition)?;
    cidfile.keep();
    writeln!(io::stdout(), "{}", definition.id)?;
    Ok(ExitCode::SUCCESS)
}
