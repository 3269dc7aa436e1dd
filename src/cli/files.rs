//! What the verbs for the files of containers have in common.

use anyhow::{Context, anyhow};

use super::engine::Engine;
use super::failure::{Failure, Hint};
use super::prepare;
use crate::config::Settings;
use crate::container::definition::{Definition, Layer};
use crate::container::files::{Error, Files, helper};

/// Does something with the files of a container, whether it runs or not. `mounts`: what
/// it has of this host is among them.
pub fn with<T>(
    engine: &Engine,
    definition: &Definition,
    mounts: bool,
    settings: &Settings,
    act: impl FnOnce(&mut Files) -> Result<T, Error>,
) -> anyhow::Result<T> {
    let mut files = open(engine, definition, mounts, settings)?;
    let done = act(&mut files);
    let closed = files.close();
    done.and_then(|done| closed.map(|()| done)).map_err(|e| failed(e, definition))
}

fn open(
    engine: &Engine,
    definition: &Definition,
    mounts: bool,
    settings: &Settings,
) -> anyhow::Result<Files> {
    if engine.condition(definition)?.live().is_some() {
        return Ok(Files::of(engine.connect(definition)?));
    }
    let plan = helper(prepare::plan_again(definition.clone(), settings)?, mounts);
    Files::of_helper(plan).map_err(|e| failed(e, definition))
}

/// Refuses to write to a container that keeps its writes in the memory of a DomU which it
/// does not have.
pub fn check_writable(engine: &Engine, definition: &Definition) -> anyhow::Result<()> {
    let lost = definition.layer == Layer::Memory && !definition.read_only;
    if !lost || engine.condition(definition)?.live().is_some() {
        return Ok(());
    }
    let name = &definition.name;
    Err(anyhow!("container {name} was made with --rm: what is written before it runs is lost"))
        .context(Hint(format!("start it first, or give it files with -v: vxn start {name}")))
}

fn failed(error: Error, definition: &Definition) -> anyhow::Error {
    let name = &definition.name;
    match error {
        Error::Helper(report) => {
            Failure::from(report).into_error().context(format!("container {name}"))
        }
        other => anyhow::Error::from(other).context(format!("container {name}")),
    }
}
