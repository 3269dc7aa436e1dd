//! `vxn top`.

mod columns;

use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::Args;
use jiff::Zoned;
use vxn_proto::{Answer, Query};

use super::engine::Engine;
use super::failure::Hint;
use super::format;
use crate::config::Settings;
use columns::{Column, View};

/// Show the processes of a container.
#[derive(Debug, Args)]
#[command(
    override_usage = "vxn top CONTAINER [ps OPTIONS]",
    after_help = "Examples:\n  vxn top web\n  vxn top web -o pid,user,etime,args\n  vxn top web aux\n\n\
                  The guest's kernel is asked, so the image needs no ps. PID is the number that a\n\
                  process has in the container, as in `vxn exec web ps`."
)]
pub struct TopArgs {
    /// Name or id.
    container: String,
    /// -ef, aux, or -o with fields of ps.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ps OPTIONS")]
    options: Vec<String>,
}

/// Shows processes.
pub fn run(args: &TopArgs, settings: &Settings) -> anyhow::Result<ExitCode> {
    let engine = Engine::new("top", settings)?;
    let columns = columns::parse(&args.options)
        .context(Hint(format!("`vxn exec {} ps …` runs the image's own", args.container)))?;
    let definition = engine.store.find(&args.container)?;
    let Answer::Processes { processes, omitted } = engine.query(&definition, Query::Processes)?
    else {
        bail!("container {}: the monitor told something else", definition.name);
    };
    let memory = match columns.contains(&Column::Memory) {
        true => match engine.query(&definition, Query::Usage)? {
            Answer::Usage(usage) => usage.memory_total,
            Answer::Processes { .. } => 0,
        },
        false => 0,
    };
    let view = View { now: Zoned::now(), memory };
    let header = columns.iter().map(|column| column.heading().to_owned()).collect();
    let cells = |info| columns.iter().map(|column| view.cell(*column, info)).collect();
    let lines: Vec<Vec<String>> =
        std::iter::once(header).chain(processes.iter().map(cells)).collect();
    io::stdout().write_all(format::columns(&lines).as_bytes())?;
    if omitted > 0 {
        eprintln!("{omitted} more processes are not shown: a guest tells 64 KiB of them at most");
    }
    Ok(ExitCode::SUCCESS)
}
