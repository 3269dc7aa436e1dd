//! `vxn start`.

use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::Args;

use super::engine::Engine;
use super::failure::Hint;
use super::{exec, prepare, run};
use crate::config::Settings;
use crate::container::condition::Condition;
use crate::container::definition::Definition;
use crate::container::front::{self, Stay};
use crate::container::keys::DetachKeys;
use crate::container::order::{Attach, Order};
use crate::container::talk::Outcome;

/// Start containers that have ended, or have not run yet.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  vxn start web\n  vxn start -ai shell\n  \
                        vxn start --all-restartable")]
pub struct StartArgs {
    /// Stay with the container: its output, its signals, its exit code.
    #[arg(short, long)]
    attach: bool,
    /// Carry stdin too, if the container was created with -i.
    #[arg(short, long)]
    interactive: bool,
    /// The keys that leave the container's terminal: ctrl-p,ctrl-q if not said.
    #[arg(long, value_name = "KEYS")]
    detach_keys: Option<DetachKeys>,
    /// Start every container that its restart policy wants after a boot.
    #[arg(long, conflicts_with_all = ["attach", "interactive", "containers"])]
    all_restartable: bool,
    /// Names or ids.
    #[arg(required_unless_present = "all_restartable", value_name = "CONTAINER")]
    containers: Vec<String>,
}

/// Starts containers.
pub fn run(args: StartArgs, settings: &Settings) -> anyhow::Result<ExitCode> {
    let engine = Engine::new("start", settings)?;
    if args.attach || args.interactive {
        let [container] = &args.containers[..] else {
            bail!("only one container can be started with -a or -i");
        };
        let definition = engine.store.find(container)?;
        return attached(definition, args.interactive, args.detach_keys, settings);
    }
    let containers =
        if args.all_restartable { restartable(&engine)? } else { args.containers.clone() };
    engine.each(&containers, |engine, definition| {
        detached(engine, definition, settings).map(|()| String::new())
    })
}

/// Those whose policy brings them back, by name.
fn restartable(engine: &Engine) -> anyhow::Result<Vec<String>> {
    let mut names = Vec::new();
    for definition in engine.store.list()? {
        if let Condition::Exited(ended) = engine.condition(&definition)? {
            if definition.restart.at_boot(ended.code, ended.by_user) {
                names.push(definition.name.to_string());
            }
        }
    }
    Ok(names)
}

/// Starts a container and leaves it; one that runs is left as it is.
pub fn detached(
    engine: &Engine,
    definition: Definition,
    settings: &Settings,
) -> anyhow::Result<()> {
    if engine.condition(&definition)?.live().is_some() {
        return Ok(());
    }
    let plan = prepare::plan_again(definition, settings)?;
    let order = Order { plan, create: false, attach: Attach::Detached };
    match front::run(&order, Stay::default()).context("cannot start the container's monitor")? {
        Outcome::Left | Outcome::Interrupted(_) => Ok(()),
        Outcome::Ended(report) => {
            let error = report.error.unwrap_or_else(|| format!("exit code {}", report.code));
            let name = &order.plan.definition.name;
            let failed = Err(anyhow::anyhow!("cannot start container {name}: {error}"));
            match report.hint {
                Some(hint) => failed.context(Hint(hint)),
                None => failed,
            }
        }
    }
}

fn attached(
    mut definition: Definition,
    interactive: bool,
    keys: Option<DetachKeys>,
    settings: &Settings,
) -> anyhow::Result<ExitCode> {
    let tty = definition.process.tty;
    let stdin = interactive && definition.process.stdin;
    let attach = run::attach(tty, stdin, true)?;
    // A stdin that nobody carries is open and silent in a terminal, else at its end.
    definition.process.stdin &= interactive || tty;
    let plan = prepare::plan_again(definition, settings)?;
    let order = Order { plan, create: false, attach };
    let stay = Stay { keys: keys.unwrap_or_default(), ..Stay::default() };
    Ok(exec::code(front::run(&order, stay)?))
}
