//! `update`: other limits for a container.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Args;
use oci_spec::runtime::LinuxResources;
use serde_json::{Map, Value, json};

use super::Runtime;
use crate::cli::limits::CpuFlags;
use crate::cli::update::{Wanted, update as change};
use crate::config::Memory;
use crate::container::definition::Definition;
use crate::oci::state::Status;
use crate::oci::{refuse, resources};

/// More than any real list of limits has, in bytes.
const MAX_RESOURCES: u64 = 1 << 20;

/// Arguments of `update`.
#[derive(Debug, Args)]
pub struct UpdateArgs {
    /// The limits as in config.json, from this file; - is stdin.
    #[arg(short, long, value_name = "FILE")]
    resources: Option<PathBuf>,
    /// Memory of the container; the DomU can have what it was started with at most.
    #[arg(long, value_name = "SIZE")]
    memory: Option<Memory>,
    /// CPU time of each period, in microseconds.
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    cpu_quota: Option<i64>,
    /// That period, in microseconds.
    #[arg(long, value_name = "N")]
    cpu_period: Option<u64>,
    /// Weight against others.
    #[arg(long, value_name = "N")]
    cpu_share: Option<u64>,
    /// The host's CPUs to run on.
    #[arg(long, value_name = "LIST")]
    cpuset_cpus: Option<String>,
    /// Most processes; before the container is started.
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pids_limit: Option<i64>,
    /// The container's id.
    id: String,
}

/// Changes a container, at once if it runs.
pub fn update(args: &UpdateArgs, runtime: &Runtime<'_>) -> Result<ExitCode> {
    let record = runtime.find(&args.id)?;
    let engine = runtime.engine();
    let resources = args.resources()?;
    refuse::resources(&resources)?;
    let old = engine.store.load(&record.container)?;
    match record.status(runtime.run())? {
        Status::Stopped => bail!("container not running"),
        Status::Created => {
            let mut new = wanted(&resources)?.applied(&old)?;
            new.limits.pids = pids(&resources, &old);
            engine.store.update(&new)?;
        }
        Status::Running | Status::Paused => {
            if pids(&resources, &old) != old.limits.pids {
                bail!("another pids.limit for a container that runs is not supported");
            }
            change(&engine, &old, &wanted(&resources)?)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

impl UpdateArgs {
    /// What the file says, and the flags over it.
    fn resources(&self) -> Result<LinuxResources> {
        let mut all = match &self.resources {
            Some(path) => read(path)
                .with_context(|| format!("cannot read the limits of {}", path.display()))?,
            None => Map::new(),
        };
        let mut say = |part: &str, key: &str, value: Option<Value>| {
            let Some(value) = value else { return };
            // What is no object is complained of with the rest.
            if let Some(part) = all.entry(part).or_insert_with(|| json!({})).as_object_mut() {
                part.insert(key.to_owned(), value);
            }
        };
        say("memory", "limit", self.memory.map(|memory| json!(memory.bytes())));
        say("cpu", "quota", self.cpu_quota.map(Value::from));
        say("cpu", "period", self.cpu_period.map(Value::from));
        say("cpu", "shares", self.cpu_share.map(Value::from));
        say("cpu", "cpus", self.cpuset_cpus.clone().map(Value::from));
        say("pids", "limit", self.pids_limit.map(Value::from));
        serde_json::from_value(Value::Object(all)).context("the limits make no sense")
    }
}

fn read(path: &Path) -> Result<Map<String, Value>> {
    let from: Box<dyn Read> =
        if path == Path::new("-") { Box::new(io::stdin()) } else { Box::new(File::open(path)?) };
    let mut bytes = Vec::new();
    from.take(MAX_RESOURCES).read_to_end(&mut bytes)?;
    Ok(serde_json::from_slice(&bytes)?)
}

/// The limits of a DomU that are named.
fn wanted(asked: &LinuxResources) -> Result<Wanted> {
    let cpu = resources::cpu(Some(asked))?;
    let set = asked.cpu().as_ref().and_then(|cpu| cpu.cpus().as_ref()).map(|_| cpu.set);
    let cpu = CpuFlags { cpus: cpu.cpus, cpu_shares: cpu.shares, cpuset_cpus: set };
    Ok(Wanted { memory_kib: resources::memory_kib(Some(asked)), restart: None, cpu })
}

/// The limit that is named, 0 being none, or the one that there is.
fn pids(asked: &LinuxResources, old: &Definition) -> Option<u64> {
    match asked.pids().as_ref().map(|pids| pids.limit()) {
        None | Some(0) => old.limits.pids,
        Some(limit) => u64::try_from(limit).ok(),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::container::cpu::CpuSet;
    use crate::container::definition::tests::definition;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        update: UpdateArgs,
    }

    fn resources_of(words: &[&str]) -> LinuxResources {
        Line::try_parse_from([&["x"], words, &["web"]].concat())
            .unwrap()
            .update
            .resources()
            .unwrap()
    }

    #[test]
    fn flags_are_over_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("r.json");
        let text = r#"{"cpu": {"shares": 512, "quota": 50000}, "pids": {"limit": 7}}"#;
        std::fs::write(&file, text).unwrap();
        let asked = resources_of(&["-r", file.to_str().unwrap(), "--cpu-share", "256"]);
        let wanted = wanted(&asked).unwrap();
        assert_eq!((wanted.cpu.cpu_shares, wanted.memory_kib), (Some(256), None));
        assert_eq!(wanted.cpu.cpus.unwrap().nano(), 500_000_000);
        assert_eq!(pids(&asked, &definition("web")), Some(7));
    }

    #[test]
    fn what_is_not_said_stays() {
        let asked = resources_of(&["--memory", "64M", "--pids-limit", "-1"]);
        let mut old = definition("web");
        old.limits.pids = Some(9);
        let said = wanted(&asked).unwrap();
        assert_eq!(said.cpu.cpuset_cpus, None);
        assert_eq!(said.memory_kib, Some((64 + 96) << 10));
        assert_eq!(pids(&asked, &old), None);
        assert_eq!(pids(&resources_of(&[]), &old), Some(9));
        let all = wanted(&resources_of(&["--cpuset-cpus", ""])).unwrap();
        assert_eq!(all.cpu.cpuset_cpus, Some(CpuSet::default()));
    }
}
