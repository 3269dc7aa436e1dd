//! `vxn stats`.

mod row;

use std::collections::BTreeMap;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use vxn_proto::{Answer, Query, Usage};

use super::engine::Engine;
use super::format::{Format, columns};
use super::logs::broken_pipe;
use crate::config::Settings;
use crate::container::ContainerId;
use crate::container::condition::{Condition, Phase};
use crate::container::definition::Definition;
use crate::container::store;
use crate::container::usage::HostUsage;
use crate::libxl::{Ctx, DomId};
use row::{Reading, Row};

/// How often there are new numbers, and over what time CPU use is measured.
const INTERVAL: Duration = Duration::from_secs(1);

/// Show what containers take of the host and of their guests, second by second.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  vxn stats\n  vxn stats --no-stream web db\n  \
                        vxn stats --format '{{.Name}}\\t{{.CPUPerc}}'\n\n\
                        CPU is Xen's count for the DomU, its kernel's work included, in percent of\n\
                        one CPU. Memory and PIDS are what the guest says of itself.")]
pub struct StatsArgs {
    /// Those that do not run too.
    #[arg(short, long)]
    all: bool,
    /// Show one set of numbers and end.
    #[arg(long)]
    no_stream: bool,
    /// Show ids whole.
    #[arg(long)]
    no_trunc: bool,
    /// A line like '{{.Name}} {{.CPUPerc}}' for each, in place of the table.
    #[arg(long, value_name = "TEXT", conflicts_with = "json")]
    format: Option<Format>,
    /// A line of JSON for each.
    #[arg(long)]
    json: bool,
    /// Names or ids; all that run if none is said.
    #[arg(value_name = "CONTAINER")]
    containers: Vec<String>,
}

/// Shows numbers until there is nothing to look at.
pub fn run(args: &StatsArgs, settings: &Settings) -> anyhow::Result<ExitCode> {
    let engine = Engine::new("stats", settings)?;
    let ctx = Ctx::open()?;
    let find = |word: &String| Ok(engine.store.find(word)?.id);
    let named = args.containers.iter().map(find).collect::<anyhow::Result<Vec<_>>>()?;
    let timer = timer().context("cannot make a timer")?;
    let mut before = BTreeMap::new();
    let mut screen = Screen { table: !args.json && args.format.is_none(), begun: false };
    loop {
        let looked = look(&engine, &ctx, &named, args.all)?;
        // The first look only begins the measurement.
        if !before.is_empty() || looked.iter().all(|one| one.host.is_none()) {
            let rows: Vec<Row> = looked.iter().map(|one| one.row(&before, args.no_trunc)).collect();
            match screen.show(args, &rows) {
                Err(e) if broken_pipe(&e) => return Ok(ExitCode::SUCCESS),
                shown => shown?,
            }
            let over = !named.is_empty() && looked.iter().all(|one| one.host.is_none());
            if args.no_stream || (over && !args.all) {
                return Ok(ExitCode::SUCCESS);
            }
        }
        let host = |one: &Look| one.host.map(|host| (host.domid, host));
        before = looked.iter().filter_map(host).collect();
        timer.wait().context("cannot wait for the timer")?;
    }
}

fn timer() -> nix::Result<TimerFd> {
    let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::TFD_CLOEXEC)?;
    let every = Expiration::Interval(TimeSpec::from_duration(INTERVAL));
    timer.set(every, TimerSetTimeFlags::empty())?;
    Ok(timer)
}

/// One container at one time.
struct Look {
    definition: Definition,
    /// `None` when it has no DomU.
    host: Option<HostUsage>,
    /// `None` when the guest cannot be asked.
    guest: Option<Usage>,
}

impl Look {
    fn row(&self, before: &BTreeMap<DomId, HostUsage>, whole: bool) -> Row {
        let reading = match self.host {
            None => Reading::Ended,
            Some(host) => {
                let before = before.get(&host.domid).copied();
                Reading::Lives { host, before, guest: self.guest }
            }
        };
        Row::new(&self.definition, reading, whole)
    }
}

/// Looks at the containers `named`, or at those there are. One that ends meanwhile is
/// no error.
fn look(engine: &Engine, ctx: &Ctx, named: &[ContainerId], all: bool) -> anyhow::Result<Vec<Look>> {
    let definitions = match named {
        [] => engine.store.list()?,
        named => {
            let load = |id| match engine.store.load(id) {
                Err(store::Error::NoSuchContainer(_)) => None,
                loaded => Some(loaded),
            };
            named.iter().filter_map(load).collect::<Result<Vec<_>, _>>()?
        }
    };
    let mut found = Vec::new();
    for definition in definitions {
        let condition = engine.condition(&definition)?;
        if all || !named.is_empty() || condition.live().is_some() {
            found.push((definition, condition));
        }
    }
    let usages = ask(engine, &found);
    let mut looks = Vec::new();
    for ((definition, condition), guest) in found.into_iter().zip(usages) {
        let domid = condition.live().and_then(|live| live.domid);
        let host = domid.map(|domid| HostUsage::read(ctx, DomId(domid))).transpose()?.flatten();
        looks.push(Look { definition, host, guest });
    }
    Ok(looks)
}

/// Asks all guests at the same time: one that hangs holds up no other.
fn ask(engine: &Engine, containers: &[(Definition, Condition)]) -> Vec<Option<Usage>> {
    thread::scope(|scope| {
        let one = |(definition, condition): &(Definition, Condition)| {
            let runs = condition.live().is_some_and(|live| live.phase == Phase::Running);
            match runs.then(|| engine.query(definition, Query::Usage))? {
                Ok(Answer::Usage(usage)) => Some(usage),
                Ok(Answer::Processes { .. }) => None,
                Err(e) => {
                    tracing::info!("{e:#}");
                    None
                }
            }
        };
        let threads: Vec<_> =
            containers.iter().map(|container| scope.spawn(move || one(container))).collect();
        threads.into_iter().map(|thread| thread.join().ok().flatten()).collect()
    })
}

/// Where the numbers go. A table on a terminal stays in its place.
struct Screen {
    table: bool,
    begun: bool,
}

impl Screen {
    fn show(&mut self, args: &StatsArgs, rows: &[Row]) -> anyhow::Result<()> {
        let mut out = io::stdout().lock();
        let in_place = self.table && !args.no_stream && out.is_terminal();
        let text = text(args, rows)?;
        if in_place {
            let clear = if self.begun { "" } else { "\x1b[2J" };
            let lines = text.replace('\n', "\x1b[K\n");
            write!(out, "{clear}\x1b[H{lines}\x1b[J")?;
        } else {
            out.write_all(text.as_bytes())?;
        }
        self.begun = true;
        Ok(out.flush()?)
    }
}

fn text(args: &StatsArgs, rows: &[Row]) -> anyhow::Result<String> {
    let format = args.format.clone().or(args.json.then_some(Format::Json));
    let Some(format) = format else {
        let header = Row::HEADER.map(str::to_owned).to_vec();
        let lines = std::iter::once(header).chain(rows.iter().map(Row::cells));
        return Ok(columns(&lines.collect::<Vec<_>>()));
    };
    let fields = |row| Ok(serde_json::from_value(serde_json::to_value(row)?)?);
    format.render(&rows.iter().map(fields).collect::<anyhow::Result<Vec<_>>>()?)
}
