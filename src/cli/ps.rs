//! `vxn ps`.

use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::{anyhow, bail};
use clap::Args;
use jiff::Timestamp;
use serde::Serialize;

use super::engine::Engine;
use super::format::{Format, ago, columns};
use super::port;
use crate::config::Settings;
use crate::container::condition::{Condition, Live, Phase};
use crate::container::definition::{Definition, Text};
use crate::container::health;
use crate::container::network::Held;
use crate::network::Forward;

/// List containers.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  vxn ps\n  vxn ps -a -f status=exited -f exited=0\n  \
                        vxn ps --format '{{.Names}}\\t{{.Status}}'")]
pub struct PsArgs {
    /// Those that do not run too.
    #[arg(short, long)]
    all: bool,
    /// Only their ids.
    #[arg(short, long)]
    quiet: bool,
    /// Only those with id=, name=, status=, exited=, health=, ancestor=, network= or label= so.
    #[arg(short, long, value_name = "KEY=VALUE")]
    filter: Vec<String>,
    /// A line like '{{.ID}} {{.Names}}' for each, in place of the table.
    #[arg(long, value_name = "TEXT", conflicts_with = "json")]
    format: Option<Format>,
    /// A line of JSON for each.
    #[arg(long)]
    json: bool,
    /// Show ids and commands whole.
    #[arg(long)]
    no_trunc: bool,
    /// Only the last that was created.
    #[arg(short, long)]
    latest: bool,
    /// Only so many of the last that were created.
    #[arg(short = 'n', long, value_name = "N", conflicts_with = "latest")]
    last: Option<usize>,
}

/// A line, with docker's names for its fields.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Row {
    #[serde(rename = "ID")]
    id: String,
    image: String,
    command: String,
    created_at: String,
    running_for: String,
    status: String,
    state: &'static str,
    ports: String,
    networks: String,
    labels: String,
    names: String,
    domid: Option<u32>,
}

/// Lists containers.
pub fn run(args: &PsArgs, settings: &Settings) -> anyhow::Result<ExitCode> {
    let engine = Engine::new("ps", settings)?;
    let filters =
        args.filter.iter().map(|f| Filter::parse(f)).collect::<anyhow::Result<Vec<_>>>()?;
    let wanted = args.latest.then_some(1).or(args.last);
    // As docker's: a filter that only containers of the past can pass shows them.
    let past = |f: &Filter| matches!(f, Filter::Status(_) | Filter::Exited(_));
    let all = args.all || wanted.is_some() || filters.iter().any(past);
    let held = Held::load(&engine.run)?;
    let mut rows = Vec::new();
    for definition in engine.store.list()? {
        let condition = engine.condition(&definition)?;
        let shown = all || condition.live().is_some();
        if shown && filters.iter().all(|filter| filter.holds(&definition, &condition)) {
            let forwards = held.forwards(&definition.id);
            rows.push(row(&definition, &condition, &forwards, args.no_trunc));
        }
    }
    rows.truncate(wanted.unwrap_or(usize::MAX));
    print(args, &rows)?;
    Ok(ExitCode::SUCCESS)
}

fn print(args: &PsArgs, rows: &[Row]) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    if args.quiet {
        return Ok(rows.iter().try_for_each(|row| writeln!(out, "{}", row.id))?);
    }
    let format = args.format.clone().or(args.json.then_some(Format::Json));
    let text = match format {
        Some(format) => {
            let fields = |row| Ok(serde_json::from_value(serde_json::to_value(row)?)?);
            format.render(&rows.iter().map(fields).collect::<anyhow::Result<Vec<_>>>()?)?
        }
        None => table(rows),
    };
    Ok(out.write_all(text.as_bytes())?)
}

fn table(rows: &[Row]) -> String {
    let header = ["CONTAINER ID", "IMAGE", "COMMAND", "CREATED", "STATUS", "PORTS", "NAMES"];
    let cells = |row: &Row| {
        let Row { id, image, command, running_for, status, ports, names, .. } = row;
        [id, image, command, running_for, status, ports, names].map(Clone::clone).to_vec()
    };
    let lines = std::iter::once(header.map(str::to_owned).to_vec()).chain(rows.iter().map(cells));
    columns(&lines.collect::<Vec<_>>())
}

fn row(definition: &Definition, condition: &Condition, forwards: &[Forward], whole: bool) -> Row {
    let now = Timestamp::now();
    let words: Vec<String> = definition.process.args.iter().map(Text::lossy).collect();
    let mut command = words.join(" ").replace(|c: char| c.is_control(), "\u{fffd}");
    if !whole && command.chars().count() > 20 {
        command = command.chars().take(19).chain(['…']).collect();
    }
    let id = &definition.id;
    Row {
        id: if whole { id.to_string() } else { id.short().to_owned() },
        image: definition.image.reference.clone(),
        command: format!("\"{command}\""),
        created_at: definition.created.to_string(),
        running_for: since(definition.created, now),
        status: status(condition, now),
        state: condition.word(),
        ports: port::summary(forwards),
        networks: networks(definition),
        labels: definition
            .labels
            .iter()
            .map(|(k, v)| format!("{k}={v}"))
            .collect::<Vec<_>>()
            .join(","),
        names: definition.name.to_string(),
        domid: condition.live().and_then(|live| live.domid),
    }
}

fn networks(definition: &Definition) -> String {
    let memberships = &definition.network.memberships;
    memberships.iter().map(|one| one.network.as_str()).collect::<Vec<_>>().join(",")
}

/// docker's words.
fn status(condition: &Condition, now: Timestamp) -> String {
    match condition {
        Condition::Created => "Created".to_owned(),
        Condition::Exited(e) => format!("Exited ({}) {}", e.code, since(e.finished, now)),
        Condition::Live(live) => {
            let up = live.started.map(|started| up(&since(started, now)));
            match (live.phase, up) {
                (Phase::Restarting, _) => "Restarting".to_owned(),
                (Phase::Starting, _) | (_, None) => "Starting".to_owned(),
                (Phase::Running, Some(up)) => up + health(live),
                (Phase::Paused, Some(up)) => format!("{up} (Paused)"),
            }
        }
    }
}

/// What docker appends to the status.
fn health(live: &Live) -> &'static str {
    match live.health.as_ref().map(|health| health.status) {
        None => "",
        Some(health::Status::Starting) => " (health: starting)",
        Some(health::Status::Healthy) => " (healthy)",
        Some(health::Status::Unhealthy) => " (unhealthy)",
    }
}

/// `Less than a second ago` is `Up less than a second`.
fn up(ago: &str) -> String {
    let time = ago.strip_suffix(" ago").unwrap_or(ago);
    format!("Up {}", time.replace("Less", "less").replace("About", "about"))
}

/// How long before `now`.
fn since(then: Timestamp, now: Timestamp) -> String {
    ago(now.duration_since(then).as_secs())
}

/// `-f`.
enum Filter {
    Id(String),
    Name(String),
    Status(String),
    Exited(u8),
    Ancestor(String),
    /// The name of a network that it is on.
    Network(String),
    /// A label, with this value if one is said.
    Label(String, Option<String>),
    /// The health of one that runs, in docker's word.
    Health(String),
}

const STATES: [&str; 5] = ["created", "running", "paused", "restarting", "exited"];

const HEALTH: [&str; 4] = ["starting", "healthy", "unhealthy", "none"];

impl Filter {
    fn parse(text: &str) -> anyhow::Result<Filter> {
        let Some((key, value)) = text.split_once('=') else { bail!("{text:?} is not KEY=VALUE") };
        let value = value.to_owned();
        match key {
            "id" => Ok(Filter::Id(value)),
            "name" => Ok(Filter::Name(value)),
            "status" if STATES.contains(&value.as_str()) => Ok(Filter::Status(value)),
            "status" => Err(anyhow!("{value:?} is no status: {}", STATES.join(", "))),
            "exited" => {
                let code = value.parse().map_err(|_| anyhow!("{value:?} is no exit code"))?;
                Ok(Filter::Exited(code))
            }
            "health" if HEALTH.contains(&value.as_str()) => Ok(Filter::Health(value)),
            "health" => Err(anyhow!("{value:?} is no health: {}", HEALTH.join(", "))),
            "ancestor" => Ok(Filter::Ancestor(value)),
            "network" => Ok(Filter::Network(value)),
            "label" => Ok(match value.split_once('=') {
                Some((key, value)) => Filter::Label(key.to_owned(), Some(value.to_owned())),
                None => Filter::Label(value, None),
            }),
            _ => Err(anyhow!(
                "there is no filter {key:?}: id, name, status, exited, health, ancestor, network, \
                 label"
            )),
        }
    }

    fn holds(&self, definition: &Definition, condition: &Condition) -> bool {
        match self {
            Filter::Id(id) => definition.id.as_str().starts_with(id),
            Filter::Name(part) => definition.name.as_str().contains(part),
            Filter::Status(word) => condition.word() == word,
            Filter::Exited(code) => {
                matches!(condition, Condition::Exited(ended) if ended.code == *code)
            }
            Filter::Ancestor(image) => {
                definition.image.reference == *image
                    || definition.image.digest.to_string() == *image
            }
            Filter::Network(name) => definition.network.is_on(name),
            Filter::Health(word) => {
                let health = condition.live().and_then(|live| live.health.as_ref());
                health.map_or("none", |health| health.status.word()) == word
            }
            Filter::Label(key, value) => definition
                .labels
                .get(key)
                .is_some_and(|have| value.as_ref().is_none_or(|value| have == value)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_since_the_start_is_dockers() {
        let at = |seconds| Timestamp::from_second(seconds).unwrap();
        assert_eq!(up(&since(at(0), at(600))), "Up 10 minutes");
        assert_eq!(up(&since(at(0), at(61))), "Up about a minute");
        assert_eq!(since(at(10), at(0)), "Less than a second ago", "a clock that was set back");
    }

    #[test]
    fn filters_that_mean_nothing_are_refused() {
        for text in ["", "x", "status=dead", "exited=x", "health=ill", "volume=a"] {
            assert!(Filter::parse(text).is_err(), "{text}");
        }
        assert!(Filter::parse("status=running").is_ok());
    }
}
