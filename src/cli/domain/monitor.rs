//! The process that makes a domain and stays with it, to do what `on_poweroff`,
//! `on_reboot` and `on_crash` say. libxl only stores those; without somebody who
//! acts, a guest that powers off keeps its memory and its devices.
//!
//! It is this program again, started before there is a libxl context (which does
//! not survive a fork). The order comes on stdin, the report goes to stdout, and
//! then both are closed; stderr is a log file.

use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::{Context, Result};
use nix::unistd::{chdir, dup2_stdin, dup2_stdout, setsid};
use serde::{Deserialize, Serialize};

use super::name;
use crate::cli::domain_config::OnEnd;
use crate::cli::failure::Failure;
use crate::libxl::{Ctx, DeathWatch, DomId, DomainConfig, EventKind, ShutdownReason, Uuid};

/// What to make, and what to do when it ends.
#[derive(Debug, Serialize, Deserialize)]
pub struct Order {
    pub config: DomainConfig,
    pub ends: Ends,
    /// The hotplug program for disks that were attached later.
    pub hotplug: PathBuf,
    /// The directory for the lock on the name.
    pub run: PathBuf,
    /// Leave it paused.
    pub paused: bool,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Ends {
    pub poweroff: OnEnd,
    pub reboot: OnEnd,
    pub crash: OnEnd,
}

impl Ends {
    /// None: it goes on, as a suspended domain does.
    fn of(self, reason: ShutdownReason) -> Option<OnEnd> {
        match reason {
            ShutdownReason::PowerOff => Some(self.poweroff),
            ShutdownReason::Reboot => Some(self.reboot),
            ShutdownReason::Crash | ShutdownReason::Watchdog => Some(self.crash),
            ShutdownReason::Suspend => None,
            ShutdownReason::SoftReset | ShutdownReason::Unknown(_) => Some(OnEnd::Destroy),
        }
    }
}

/// What came of it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Report {
    Created { domid: DomId, uuid: Uuid },
    Failed(Failure),
}

/// Runs the monitor.
pub fn run() -> Result<()> {
    setsid().context("cannot leave the session")?;
    chdir("/").context("cannot leave the directory")?;
    let mut order: Order =
        serde_json::from_reader(io::stdin().lock()).context("cannot read the order")?;
    let open = || -> Result<(Ctx, Running)> {
        let ctx = Ctx::open()?;
        let domain = start(&ctx, &order, order.paused)?;
        Ok((ctx, domain))
    };
    let (ctx, mut domain) = match open() {
        Ok(started) => started,
        Err(e) => return report(&Report::Failed(Failure::from(e))),
    };
    if let Err(e) = report(&Report::Created { domid: domain.domid, uuid: order.config.uuid }) {
        // Whoever wanted the domain is gone.
        ctx.destroy(domain.domid)?;
        return Err(e);
    }
    loop {
        match watch(&ctx, &domain, order.ends)? {
            None | Some(OnEnd::Preserve) => return Ok(()),
            Some(OnEnd::Destroy) => return Ok(ctx.destroy(domain.domid)?),
            Some(OnEnd::Restart) => {
                keep_disks(&ctx, domain.domid, &mut order)?;
                ctx.destroy(domain.domid)?;
                domain = start(&ctx, &order, false)?;
                tracing::info!("restarted as domain {}", domain.domid);
            }
        }
    }
}

/// Sends the report and lets go of the caller.
fn report(report: &Report) -> Result<()> {
    let mut json = serde_json::to_vec(report)?;
    json.push(b'\n');
    let mut stdout = io::stdout().lock();
    stdout.write_all(&json).and_then(|()| stdout.flush()).context("nobody takes the report")?;
    let null = File::options().read(true).write(true).open("/dev/null")?;
    dup2_stdin(&null)?;
    dup2_stdout(&null)?;
    Ok(())
}

/// A domain that runs, and the watch for its end.
struct Running {
    domid: DomId,
    _watch: DeathWatch,
}

fn start(ctx: &Ctx, Order { config, run, .. }: &Order, paused: bool) -> Result<Running> {
    ctx.check_memory(config)?;
    let domid = {
        let _name = name::lock(run, &config.name)?;
        ctx.create_paused(config)?
    };
    let go = || {
        let watch = ctx.watch_death(domid)?;
        if !paused {
            ctx.unpause(domid)?;
        }
        Ok(Running { domid, _watch: watch })
    };
    go().or_else(|e| {
        ctx.destroy(domid)?;
        Err(e)
    })
}

/// Waits for the end of the domain, and says what is to be done then; nothing if
/// somebody else has destroyed it.
fn watch(ctx: &Ctx, domain: &Running, ends: Ends) -> Result<Option<OnEnd>> {
    loop {
        let Some(event) = ctx.wait_event(None)? else { continue };
        let reason = match event.kind {
            _ if event.domid != domain.domid => continue,
            EventKind::Death => return Ok(None),
            EventKind::Shutdown(reason) => reason,
        };
        if let Some(end) = ends.of(reason) {
            tracing::info!("domain {} ended ({reason:?}): {end:?}", domain.domid);
            return Ok(Some(end));
        }
    }
}

/// A restarted domain has the disks that it had at its end, not at its start.
fn keep_disks(ctx: &Ctx, domid: DomId, order: &mut Order) -> Result<()> {
    let mut disks = ctx.disks(domid)?;
    for disk in &mut disks {
        let before = order.config.disks.iter().find(|before| before.vdev == disk.vdev);
        let script = before.and_then(|before| before.script.clone());
        disk.script = script.or_else(|| Some(order.hotplug.clone()));
    }
    order.config.disks = disks;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_end_has_its_action() {
        let ends =
            Ends { poweroff: OnEnd::Destroy, reboot: OnEnd::Restart, crash: OnEnd::Preserve };
        assert_eq!(ends.of(ShutdownReason::PowerOff), Some(OnEnd::Destroy));
        assert_eq!(ends.of(ShutdownReason::Reboot), Some(OnEnd::Restart));
        assert_eq!(ends.of(ShutdownReason::Crash), Some(OnEnd::Preserve));
        assert_eq!(ends.of(ShutdownReason::Watchdog), Some(OnEnd::Preserve));
        assert_eq!(ends.of(ShutdownReason::Suspend), None);
        assert_eq!(ends.of(ShutdownReason::Unknown(99)), Some(OnEnd::Destroy));
    }
}
