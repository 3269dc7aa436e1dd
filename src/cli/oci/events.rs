//! `events` and `logs`: what a container takes, as it goes on, and what its kernel says.

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, bail};
use clap::Args;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use serde_json::{Value, json};
use vxn_proto::{Answer, Frame, Query, Usage};

use super::Runtime;
use crate::cli::console;
use crate::cli::engine::Engine;
use crate::cli::logs::broken_pipe;
use crate::container::condition::{Live, Phase};
use crate::container::control::{Connection, ToClient, ToMonitor};
use crate::container::definition::Definition;
use crate::container::report::Report;
use crate::container::usage::HostUsage;
use crate::libxl::{Ctx, DomId};
use crate::oci::state::{Record, Status};

/// Major number of a DomU's disks, which are counted together (Linux, devices.txt).
const XVD: u32 = 202;

/// Arguments of `events`.
#[derive(Debug, Args)]
pub struct EventsArgs {
    /// Print the numbers once.
    #[arg(long)]
    stats: bool,
    /// How often they are printed, such as 5s or 500ms.
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = interval)]
    interval: Duration,
    /// The container's id.
    id: String,
}

/// Arguments of `logs`.
#[derive(Debug, Args)]
pub struct LogsArgs {
    /// Go on with what comes.
    #[arg(short, long)]
    follow: bool,
    /// The container's id.
    id: String,
}

/// A time in the words of Go's durations, as far as runc's callers use them.
fn interval(text: &str) -> Result<Duration, String> {
    let bad = || format!("{text:?} is not a time such as 5s or 500ms");
    let number = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match &text[number.len()..] {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        _ => return Err(bad()),
    };
    let number: u64 = number.parse().map_err(|_| bad())?;
    let millis = number.checked_mul(unit).filter(|&millis| millis > 0).ok_or_else(bad)?;
    Ok(Duration::from_millis(millis))
}

/// Prints what a container takes, a line of JSON each time, until it ends.
pub fn events(args: &EventsArgs, runtime: &Runtime<'_>) -> Result<ExitCode> {
    let record = runtime.find(&args.id)?;
    if matches!(record.status(runtime.run())?, Status::Created | Status::Stopped) {
        bail!("container not running");
    }
    let engine = runtime.engine();
    let definition = engine.store.load(&record.container)?;
    let mut monitor = Connection::open(&record.live(runtime.run()))?;
    monitor.send(&ToMonitor::Wait)?;
    let ctx = Ctx::open()?;
    loop {
        if let Some(data) = stats(&ctx, &engine, &definition)? {
            if !print("stats", &record, Some(data))? || args.stats {
                return Ok(ExitCode::SUCCESS);
            }
        }
        if let Some(report) = ended(&mut monitor, args.interval)? {
            if report.oom_killed {
                print("oom", &record, None)?;
            }
            return Ok(ExitCode::SUCCESS);
        }
    }
}

/// Waits for the container's end, for so long.
fn ended(monitor: &mut Connection, patience: Duration) -> Result<Option<Report>> {
    let timeout = PollTimeout::try_from(patience).unwrap_or(PollTimeout::MAX);
    let mut fds = [PollFd::new(monitor.as_fd(), PollFlags::POLLIN)];
    match poll(&mut fds, timeout) {
        Ok(0) | Err(Errno::EINTR) => return Ok(None),
        ready => ready?,
    };
    Ok(monitor.receive()?.into_iter().find_map(|frame| match frame {
        Frame::Message(ToClient::Ended(report)) => Some(report),
        _ => None,
    }))
}

/// Prints an event. Returns whether anybody reads it.
fn print(kind: &str, record: &Record, data: Option<Value>) -> Result<bool> {
    let mut event = json!({ "type": kind, "id": record.id });
    if let Some(data) = data {
        event["data"] = data;
    }
    match writeln!(io::stdout(), "{event}").map_err(anyhow::Error::from) {
        Err(e) if broken_pipe(&e) => Ok(false),
        printed => printed.map(|()| true),
    }
}

/// The numbers, in runc's form; `None` when there is no DomU any more.
fn stats(ctx: &Ctx, engine: &Engine, definition: &Definition) -> Result<Option<Value>> {
    let Some(live) = Live::read(&engine.live(definition))? else { return Ok(None) };
    let Some(domid) = live.domid.map(DomId) else { return Ok(None) };
    let Some(host) = HostUsage::read(ctx, domid)? else { return Ok(None) };
    // One that is paused cannot be asked.
    let guest = match live.phase {
        Phase::Running => match engine.query(definition, Query::Usage) {
            Ok(Answer::Usage(usage)) => Some(usage),
            Ok(Answer::Processes { .. }) => None,
            Err(e) => {
                tracing::info!("{e:#}");
                None
            }
        },
        _ => None,
    };
    Ok(Some(data(&host, guest, definition)))
}

/// The fields of runc's `types.Stats` that a DomU has. Xen counts CPU time and traffic, and
/// the guest says what memory and how many processes it has in use.
fn data(host: &HostUsage, guest: Option<Usage>, definition: &Definition) -> Value {
    let usage = guest.unwrap_or_default();
    let limit = definition.memory_kib.saturating_mul(1024);
    let total = u64::try_from(host.cpu.as_nanos()).unwrap_or(u64::MAX);
    let traffic = host.traffic;
    let io = |op: &str, value: u64| json!({ "major": XVD, "minor": 0, "op": op, "value": value });
    json!({
        "cpu": { "usage": { "total": total, "kernel": 0, "user": 0 }, "throttling": {} },
        "memory": {
            "usage": { "limit": limit, "usage": usage.memory_used, "failcnt": 0 },
            "raw": {},
        },
        "pids": { "current": usage.tasks, "limit": definition.limits.pids.unwrap_or(0) },
        "blkio": {
            "ioServiceBytesRecursive": [io("Read", traffic.read), io("Write", traffic.written)],
        },
        "network_interfaces": [
            { "Name": "all", "RxBytes": traffic.received, "TxBytes": traffic.sent },
        ],
    })
}

/// Shows the log of a container's kernel: its output is its caller's.
pub fn logs(args: &LogsArgs, runtime: &Runtime<'_>) -> Result<ExitCode> {
    let record = runtime.find(&args.id)?;
    if matches!(record.status(runtime.run())?, Status::Created | Status::Stopped) {
        bail!("container not running");
    }
    console::show(Connection::open(&record.live(runtime.run()))?, args.follow, None)
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::container::definition::tests::definition;
    use crate::container::usage::Traffic;

    #[test]
    fn numbers_have_runcs_names() {
        let traffic = Traffic { received: 1, sent: 2, read: 3, written: 4 };
        let cpu = Duration::from_millis(5);
        let host = HostUsage { domid: DomId(3), at: Instant::now(), cpu, traffic };
        let guest = Usage { memory_used: 7, memory_total: u64::MAX, tasks: 8 };
        let data = data(&host, Some(guest), &definition("web"));
        assert_eq!(data["cpu"]["usage"]["total"], 5_000_000);
        assert_eq!(data["memory"]["usage"]["usage"], 7);
        assert_eq!(data["memory"]["usage"]["limit"], 268_435_456);
        assert_eq!(data["pids"]["current"], 8);
        assert_eq!(data["blkio"]["ioServiceBytesRecursive"][1]["value"], 4);
        assert_eq!(data["network_interfaces"][0]["RxBytes"], 1);
    }

    #[test]
    fn times_are_gos() {
        assert_eq!(interval("5s").unwrap(), Duration::from_secs(5));
        assert_eq!(interval("500ms").unwrap(), Duration::from_millis(500));
        for bad in ["", "5", "0s", "s", "-1s", "1h"] {
            assert!(interval(bad).is_err(), "{bad}");
        }
    }
}
