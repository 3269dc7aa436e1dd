//! `vxn console`.

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::Args;

use super::engine::Engine;
use super::exec;
use crate::config::Settings;
use crate::container::console;
use crate::container::control::{Connection, ToMonitor};
use crate::container::definition::Definition;
use crate::container::keys::DetachKeys;
use crate::container::monitor::signal_fd;
use crate::container::talk::{Outputs, Streams, Talk, Until};
use crate::container::terminal::RawMode;

/// Show the log of a container's kernel: what is kept, and then what comes.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  vxn console web\n  vxn console --no-follow web | less\n\n\
                        ctrl-p,ctrl-q or ctrl-c leaves. Of a container that has ended it is the\n\
                        log of its last life; 64 KiB are kept.")]
pub struct ConsoleArgs {
    /// Only what is kept.
    #[arg(long)]
    no_follow: bool,
    /// The keys that leave: ctrl-p,ctrl-q if not said.
    #[arg(long, value_name = "KEYS")]
    detach_keys: Option<DetachKeys>,
    /// Name or id.
    container: String,
}

/// Shows the console.
pub fn run(args: ConsoleArgs, settings: &Settings) -> anyhow::Result<ExitCode> {
    let engine = Engine::new("console", settings)?;
    let definition = engine.store.find(&args.container)?;
    if engine.condition(&definition)?.live().is_none() {
        return last(&engine, &definition);
    }
    show(engine.connect(&definition)?, !args.no_follow, args.detach_keys)
}

/// Shows that of a container that runs.
pub fn show(
    mut connection: Connection,
    follow: bool,
    keys: Option<DetachKeys>,
) -> anyhow::Result<ExitCode> {
    connection.send(&ToMonitor::Console { follow })?;
    let signals = signal_fd(&[])?;
    // Nothing is typed into a kernel's log: stdin is there for the keys that leave.
    let typing = io::stdin().is_terminal() && io::stdout().is_terminal() && follow;
    let keys = typing.then(|| keys.unwrap_or_default());
    let raw = typing.then(RawMode::with_signals).transpose();
    let raw = raw.context("cannot set the terminal")?;
    let streams = Streams::open(typing, Outputs::BOTH, keys).context("cannot carry the streams")?;
    let outcome = Talk::new(connection, signals, Some(streams), Until::Ended).run();
    drop(raw);
    Ok(exec::code(outcome?))
}

/// The log of a life that is over.
fn last(engine: &Engine, definition: &Definition) -> anyhow::Result<ExitCode> {
    let home = engine.store.home(&definition.id);
    let Some(log) = console::last(&home).context("cannot read the kernel's log")? else {
        bail!("container {} has no kernel log: it did not run yet", definition.name);
    };
    io::stdout().write_all(&log)?;
    Ok(ExitCode::SUCCESS)
}
