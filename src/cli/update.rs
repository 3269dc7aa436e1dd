//! `vxn update`: other limits for containers, whether they run or not.

use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::Args;

use super::engine::{Engine, Names};
use super::failure::Hint;
use super::limits::CpuFlags;
use crate::config::{Memory, Settings};
use crate::container::condition::{Live, Phase};
use crate::container::cpu::{CpuSet, Cpus};
use crate::container::definition::Definition;
use crate::container::journal;
use crate::container::plan::check_cpus;
use crate::container::restart::RestartPolicy;
use crate::libxl::{Ctx, DomId, DomainInfo, Error};

/// Change the limits of containers. Those that run change at once, as far as their
/// DomU goes; the others with their next start.
#[derive(Debug, Args)]
#[command(
    args_override_self = true,
    after_help = "Examples:\n  vxn update --cpus 0.5 --cpu-shares 512 web\n  \
                  vxn update -m 128M --restart always web db"
)]
pub struct UpdateArgs {
    /// Memory of the DomU; one that runs can have what it was started with at most.
    #[arg(short, long, value_name = "SIZE")]
    memory: Option<Memory>,
    /// When to start the container again by itself.
    #[arg(long, value_name = "POLICY")]
    restart: Option<RestartPolicy>,
    #[command(flatten)]
    names: Names,
    #[command(flatten)]
    cpu: CpuFlags,
}

/// Changes containers.
pub fn run(args: &UpdateArgs, settings: &Settings) -> anyhow::Result<ExitCode> {
    let engine = Engine::new("update", settings)?;
    if args.memory.is_none() && args.restart.is_none() && args.cpu.is_empty() {
        return Err(anyhow::anyhow!("there is nothing to change"))
            .context(Hint("give a flag: `vxn update --help` has them".to_owned()));
    }
    let wanted = Wanted {
        memory_kib: args.memory.map(Memory::kib),
        restart: args.restart,
        cpu: args.cpu.clone(),
    };
    engine.each(&args.names.containers, |engine, definition| {
        update(engine, &definition, &wanted)
            .with_context(|| format!("cannot update container {}", definition.name))?;
        Ok(String::new())
    })
}

/// What is to be changed.
#[derive(Debug)]
pub struct Wanted {
    /// Memory of the DomU in KiB.
    pub memory_kib: Option<u64>,
    /// When to start the container again by itself.
    pub restart: Option<RestartPolicy>,
    /// What it may use of the host's CPUs.
    pub cpu: CpuFlags,
}

/// Changes one container, its DomU too if it runs.
pub fn update(engine: &Engine, old: &Definition, wanted: &Wanted) -> anyhow::Result<()> {
    let new = wanted.applied(old)?;
    match engine.take(old) {
        Ok(entry) => {
            engine.store.update(&new)?;
            Ok(entry.remove()?)
        }
        Err(journal::Error::Busy(busy)) => match engine.condition(old)?.live() {
            None => Err(journal::Error::Busy(busy).into()),
            Some(live) => {
                live_domain(live)?.map_or(Ok(()), |domid| change(domid, &new, wanted))?;
                Ok(engine.store.update(&new)?)
            }
        },
        Err(e) => Err(e.into()),
    }
}

impl Wanted {
    /// What the container is from now on.
    pub fn applied(&self, old: &Definition) -> anyhow::Result<Definition> {
        let mut new = old.clone();
        new.cpu = self.cpu.clone().over(new.cpu);
        new.vcpus = self.cpu.cpus.map_or(old.vcpus, Cpus::vcpus);
        new.memory_kib = self.memory_kib.unwrap_or(old.memory_kib);
        new.restart = self.restart.unwrap_or(old.restart);
        if new.remove && new.restart != RestartPolicy::No {
            bail!("it was created with --rm: what is removed is not started again");
        }
        Ok(new)
    }
}

/// The DomU to change; none between two lives.
fn live_domain(live: &Live) -> anyhow::Result<Option<DomId>> {
    match (live.phase, live.domid) {
        (Phase::Restarting, _) => Ok(None),
        (Phase::Running | Phase::Paused, Some(domid)) => Ok(Some(DomId(domid))),
        _ => Err(anyhow::anyhow!("it is being started"))
            .context(Hint("try again when it runs: `vxn ps`".to_owned())),
    }
}

/// Changes a DomU as it runs.
fn change(domid: DomId, new: &Definition, wanted: &Wanted) -> anyhow::Result<()> {
    let ctx = Ctx::open()?;
    let domain = ctx.info(domid)?.context("its DomU is gone")?;
    let host = ctx.host()?;
    check_cpus(&new.cpu.set, &host)?;
    if new.vcpus > domain.vcpus && wanted.cpu.cpus.is_some() {
        let have = domain.vcpus;
        return Err(anyhow::anyhow!(
            "it runs with {have} virtual CPUs, {} are asked for",
            new.vcpus
        ))
        .context(stop_first());
    }
    let mut scheduling = new.cpu.scheduling(domain.vcpus);
    if wanted.cpu.cpuset_cpus.as_ref().is_some_and(|set| *set == CpuSet::default()) {
        // Back to all that there are.
        scheduling.cpus = (0..=u16::try_from(host.max_cpu)?).collect();
    }
    if let Some(kib) = wanted.memory_kib {
        check_memory(&ctx, new, &domain, kib)?;
        ctx.set_memory_target(domid, kib).context(stop_first())?;
    }
    Ok(ctx.schedule(domid, &scheduling, domain.vcpus)?)
}

/// What the DomU does not have yet must be free.
fn check_memory(ctx: &Ctx, new: &Definition, domain: &DomainInfo, kib: u64) -> anyhow::Result<()> {
    let (more, free) = (kib.saturating_sub(domain.memory_kib), ctx.free_memory_kib()?);
    if more <= free {
        return Ok(());
    }
    let (name, need_mib, free_mib) = (new.name.to_string(), more.div_ceil(1024), free / 1024);
    Err(Error::NotEnoughMemory { name, need_mib, free_mib }.into())
}

fn stop_first() -> Hint {
    Hint("a DomU that runs can have what it was started with at most: stop it first".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::container::definition::tests::definition;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        update: UpdateArgs,
    }

    fn change_of(words: &[&str], old: &Definition) -> anyhow::Result<Definition> {
        let line = Line::try_parse_from([&["x"], words, &["web"]].concat()).unwrap();
        let UpdateArgs { memory, restart, cpu, .. } = line.update;
        Wanted { memory_kib: memory.map(Memory::kib), restart, cpu }.applied(old)
    }

    #[test]
    fn what_is_not_said_stays() {
        let old = definition("web");
        let new = change_of(&["--cpus", "1.5", "--restart", "always"], &old).unwrap();
        assert_eq!((new.vcpus, new.restart), (2, RestartPolicy::Always));
        assert_eq!((new.memory_kib, &new.cpu.set), (old.memory_kib, &old.cpu.set));
        let newer = change_of(&["-m", "64M", "--cpu-shares", "512"], &new).unwrap();
        assert_eq!((newer.memory_kib, newer.cpu.shares), (65536, Some(512)));
        assert_eq!((newer.vcpus, newer.cpu.cpus), (2, new.cpu.cpus));
    }

    #[test]
    fn a_fleeting_container_is_not_started_again() {
        let old = Definition { remove: true, ..definition("web") };
        assert!(change_of(&["--restart", "always"], &old).is_err());
        assert!(change_of(&["--restart", "no"], &old).is_ok());
    }

    #[test]
    fn a_domain_is_changed_when_its_process_runs() {
        let live = |phase, domid| Live {
            phase,
            started: None,
            domid,
            monitor: 1,
            restarts: 0,
            health: None,
        };
        assert_eq!(live_domain(&live(Phase::Running, Some(3))).unwrap(), Some(DomId(3)));
        assert_eq!(live_domain(&live(Phase::Restarting, None)).unwrap(), None);
        assert!(live_domain(&live(Phase::Starting, Some(3))).is_err());
    }
}
