//! `vxn stop`, `restart`, `kill`, `wait`, `pause`, `unpause`.

use std::process::ExitCode;

use clap::Args;
use nix::sys::signal::Signal;

use super::engine::{Engine, Names};
use super::spec::{self, StopTimeout};
use super::start;
use crate::config::Settings;
use crate::container::condition::Condition;
use crate::container::control::ToMonitor;
use crate::container::definition::Definition;
use crate::container::news;

/// How to stop.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  vxn stop web\n  vxn stop -t 60 db\n  vxn restart web")]
pub struct StopArgs {
    /// Another signal than the container's own.
    #[arg(short, long, value_name = "SIGNAL", value_parser = spec::signal)]
    signal: Option<u8>,
    /// Seconds from the signal to the kill; -1 waits for ever.
    #[arg(
        short = 't', long = "timeout", alias = "time", value_name = "SECONDS",
        allow_negative_numbers = true, value_parser = spec::stop_timeout
    )]
    timeout: Option<StopTimeout>,
    #[command(flatten)]
    names: Names,
}

/// What to send.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  vxn kill web\n  vxn kill -s HUP web")]
pub struct KillArgs {
    /// The signal, by name or number.
    #[arg(short, long, value_name = "SIGNAL", default_value = "KILL", value_parser = spec::signal)]
    signal: u8,
    #[command(flatten)]
    names: Names,
}

/// Stops containers.
pub fn stop(args: &StopArgs, settings: &Settings) -> anyhow::Result<ExitCode> {
    let engine = Engine::new("stop", settings)?;
    engine.each(&args.names.containers, |engine, definition| {
        halt(engine, &definition, args)?;
        Ok(String::new())
    })
}

/// Stops containers that run, and starts them.
pub fn restart(args: &StopArgs, settings: &Settings) -> anyhow::Result<ExitCode> {
    let engine = Engine::new("restart", settings)?;
    engine.each(&args.names.containers, |engine, definition| {
        halt(engine, &definition, args)?;
        start::detached(engine, definition.clone(), settings)?;
        news::tell(engine.store.root(), &definition, "restart", &[]);
        Ok(String::new())
    })
}

/// One that does not run is stopped already.
fn halt(engine: &Engine, definition: &Definition, args: &StopArgs) -> anyhow::Result<()> {
    if engine.condition(definition)?.live().is_none() {
        return Ok(());
    }
    let message = ToMonitor::Stop { signal: args.signal, seconds: args.timeout };
    engine.ask_to_the_end(definition, &message).map(drop)
}

/// Sends a signal to the containers' processes.
pub fn kill(args: &KillArgs, settings: &Settings) -> anyhow::Result<ExitCode> {
    let engine = Engine::new("kill", settings)?;
    engine.each(&args.names.containers, |engine, definition| {
        let signal = args.signal;
        engine.ask(&definition, &ToMonitor::Signal { signal })?;
        // As with docker, a container that was killed has ended.
        if signal == Signal::SIGKILL as u8 {
            engine.ask_to_the_end(&definition, &ToMonitor::Wait)?;
        }
        Ok(String::new())
    })
}

/// Waits for the end of containers, and prints their exit codes.
pub fn wait(names: &Names, settings: &Settings) -> anyhow::Result<ExitCode> {
    let engine = Engine::new("wait", settings)?;
    engine.each(&names.containers, |engine, definition| Ok(end(engine, &definition)?.to_string()))
}

/// The exit code of a container, once there is one.
fn end(engine: &Engine, definition: &Definition) -> anyhow::Result<u8> {
    match engine.condition(definition)? {
        Condition::Exited(ended) => Ok(ended.code),
        Condition::Created => Ok(0),
        Condition::Live(_) => match engine.ask_to_the_end(definition, &ToMonitor::Wait)? {
            Some(report) => Ok(report.code),
            None => end(engine, definition),
        },
    }
}

/// Stops the CPUs of containers.
pub fn pause(names: &Names, settings: &Settings) -> anyhow::Result<ExitCode> {
    let engine = Engine::new("pause", settings)?;
    engine.each(&names.containers, |engine, definition| {
        engine.ask(&definition, &ToMonitor::Pause)?;
        Ok(String::new())
    })
}

/// Lets them go on.
pub fn unpause(names: &Names, settings: &Settings) -> anyhow::Result<ExitCode> {
    let engine = Engine::new("unpause", settings)?;
    engine.each(&names.containers, |engine, definition| {
        engine.ask(&definition, &ToMonitor::Unpause)?;
        Ok(String::new())
    })
}
