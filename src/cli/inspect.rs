//! `vxn inspect`: what docker shows of a container, as far as it means something
//! here, and the DomU.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};

use super::engine::{Engine, Names};
use super::format;
use crate::config::Settings;
use crate::container::condition::{Condition, Phase};
use crate::container::definition::{Definition, Layer, Text};
use crate::container::log;

/// Show all there is to know of containers, as JSON.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  vxn inspect web\n  vxn inspect --format '{State.ExitCode}' web"
)]
pub struct InspectArgs {
    /// A line like '{State.Status} {Xen.DomId}' for each, in place of JSON.
    #[arg(short, long, value_name = "TEXT")]
    format: Option<String>,
    #[command(flatten)]
    names: Names,
}

/// Shows containers. As docker, those that are not there fail, the others are shown.
pub fn run(args: &InspectArgs, settings: &Settings) -> anyhow::Result<ExitCode> {
    let engine = Engine::new("inspect", settings)?;
    if let Some(template) = &args.format {
        return engine.each(&args.names.containers, |engine, definition| {
            format::render(template, &inspect(engine, &definition)?)
        });
    }
    let mut found = Vec::new();
    let mut missing = Ok(());
    for word in &args.names.containers {
        match engine.store.find(word) {
            Ok(definition) => found.push(inspect(&engine, &definition)?),
            Err(e) => missing = Err(e),
        }
    }
    writeln!(io::stdout(), "{}", serde_json::to_string_pretty(&found)?)?;
    missing?;
    Ok(ExitCode::SUCCESS)
}

fn inspect(engine: &Engine, definition: &Definition) -> anyhow::Result<Value> {
    let condition = engine.condition(definition)?;
    let texts = |list: &[Text]| list.iter().map(Text::lossy).collect::<Vec<_>>();
    let process = &definition.process;
    let args = texts(&process.args);
    let live = condition.live();
    let home = engine.store.home(&definition.id);
    Ok(json!({
        "Id": definition.id,
        "Created": definition.created,
        "Path": args.first(),
        "Args": args.iter().skip(1).collect::<Vec<_>>(),
        "State": state(&condition),
        "Image": definition.image.digest,
        "Name": format!("/{}", definition.name),
        "RestartCount": restarts(&condition),
        "LogPath": log::directory(&home).join("container.log"),
        "HostConfig": host_config(definition),
        "Config": {
            "Hostname": definition.hostname,
            "User": process.user,
            "Tty": process.tty,
            "OpenStdin": process.stdin,
            "Env": texts(&process.env),
            "Cmd": args,
            "Image": definition.image.reference,
            "WorkingDir": process.cwd.lossy(),
            "StopSignal": definition.stop.signal,
            "StopTimeout": definition.stop.seconds,
        },
        "Xen": {
            "DomId": live.and_then(|live| live.domid),
            "Type": definition.guest_type,
            "Vcpus": definition.vcpus,
            "Kernel": definition.kernel,
            "Initramfs": definition.initramfs,
            "RootDisk": definition.root_disk.path,
            "LayerDisk": engine.store.layer(definition),
        },
    }))
}

fn host_config(definition: &Definition) -> Value {
    json!({
        "AutoRemove": definition.remove,
        "Memory": definition.memory_kib * 1024,
        "NanoCpus": u64::from(definition.vcpus) * 1_000_000_000,
        "ReadonlyRootfs": definition.read_only,
        "RestartPolicy": definition.restart,
        "Tmpfs": definition.tmpfs,
        "LogConfig": definition.log,
        "StorageSize": match definition.layer {
            Layer::Memory => None,
            Layer::Disk { bytes } => Some(bytes),
        },
    })
}

fn restarts(condition: &Condition) -> u32 {
    match condition {
        Condition::Created => 0,
        Condition::Live(live) => live.restarts,
        Condition::Exited(ended) => ended.restarts,
    }
}

fn state(condition: &Condition) -> Value {
    let live = condition.live();
    let is = |phase| live.is_some_and(|live| live.phase == phase);
    let ended = match condition {
        Condition::Exited(ended) => Some(ended),
        _ => None,
    };
    let started = live.and_then(|l| l.started).or(ended.and_then(|e| e.started));
    json!({
        "Status": condition.word(),
        "Running": live.is_some() && !is(Phase::Restarting),
        "Paused": is(Phase::Paused),
        "Restarting": is(Phase::Restarting),
        "Pid": live.map_or(0, |live| live.monitor),
        "ExitCode": ended.map_or(0, |ended| ended.code),
        "Error": ended.and_then(|ended| ended.error.clone()).unwrap_or_default(),
        "StartedAt": started,
        "FinishedAt": ended.map(|ended| ended.finished),
    })
}
