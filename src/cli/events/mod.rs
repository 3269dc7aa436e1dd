//! `vxn events`.

mod filter;

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use jiff::Timestamp;
use serde_json::json;

use super::engine::need_root;
use super::format::{Format, Row};
use super::logs::{broken_pipe, time};
use crate::config::Settings;
use crate::events::{Event, Follow, Kind, Reader};
use filter::Filters;

/// Show what happens to containers, images, volumes and networks, as it happens.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  vxn events\n  vxn events --since 1h --until 0s\n  \
                        vxn events -f type=container -f event=die --format '{{.Actor.Attributes.name}}'\n\n\
                        Past events are kept as long as two files of 1 MiB have room for them.")]
pub struct EventsArgs {
    /// Past events too, from then on: a time, or how long ago, as 10m or 1h30m.
    #[arg(short = 'S', long, value_name = "TIME", value_parser = time)]
    since: Option<Timestamp>,
    /// End then; nothing younger.
    #[arg(short = 'U', long, value_name = "TIME", value_parser = time)]
    until: Option<Timestamp>,
    /// Only those with container=, event=, image=, label=, network=, type= or volume= so.
    #[arg(short, long, value_name = "KEY=VALUE")]
    filter: Vec<String>,
    /// A line like '{{.Action}} {{.Actor.ID}}' for each, in place of docker's.
    #[arg(long, value_name = "TEXT", conflicts_with = "json")]
    format: Option<Format>,
    /// A line of JSON for each.
    #[arg(long)]
    json: bool,
}

/// Shows events, and waits for more.
pub fn run(args: &EventsArgs, settings: &Settings) -> anyhow::Result<ExitCode> {
    need_root("events")?;
    let filters = Filters::parse(&args.filter)?;
    match follow(args, &filters, settings) {
        Err(e) if broken_pipe(&e) => Ok(ExitCode::SUCCESS),
        shown => shown.map(|()| ExitCode::SUCCESS),
    }
}

fn follow(args: &EventsArgs, filters: &Filters, settings: &Settings) -> anyhow::Result<()> {
    let root = &settings.root.value;
    // Watched before it is read: nothing is missed in between.
    let follow = Follow::new(root).context("cannot watch the events")?;
    let since = args.since.unwrap_or_else(Timestamp::now);
    let mut reader = Reader::open(root).context("cannot read the events")?;
    let format = args.format.clone().or(args.json.then_some(Format::Json));
    loop {
        // Asked for before reading: what was written until then is read.
        let left = args.until.map(|until| until.duration_since(Timestamp::now()));
        while let Some(event) = reader.next_event().context("cannot read the events")? {
            let late = args.until.is_some_and(|until| event.time > until);
            if event.time >= since && !late && filters.hold(&event) {
                io::stdout().write_all(shown(&event, format.as_ref())?.as_bytes())?;
            }
        }
        io::stdout().flush()?;
        let left = match left.map(Duration::try_from) {
            None => None,
            Some(Ok(left)) if !left.is_zero() => Some(left),
            Some(_) => return Ok(()),
        };
        follow.wait(left).context("cannot wait for events")?;
    }
}

fn shown(event: &Event, format: Option<&Format>) -> anyhow::Result<String> {
    match format {
        None => Ok(format!("{event}\n")),
        Some(format) => format.render(&[row(event)]),
    }
}

/// docker's fields.
fn row(event: &Event) -> Row {
    let Event { time, kind, action, id, attributes } = event;
    let mut row = Row::new();
    let mut put = |key: &str, value| row.insert(key.to_owned(), value);
    if *kind == Kind::Container {
        put("status", json!(action));
        put("id", json!(id));
        put("from", json!(attributes.get("image")));
    }
    put("Type", json!(kind.word()));
    put("Action", json!(action));
    put("Actor", json!({ "ID": id, "Attributes": attributes }));
    put("scope", json!("local"));
    put("time", json!(time.as_second()));
    put("timeNano", json!(i64::try_from(time.as_nanosecond()).unwrap_or(i64::MAX)));
    row
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_has_dockers_fields() {
        let event = Event::new(Kind::Container, "die", "12").with("exitCode", "5");
        let text = |format: &str| shown(&event, Some(&format.parse().unwrap())).unwrap();
        assert_eq!(text("{{.Type}} {{.Action}} {{.Actor.ID}}"), "container die 12\n");
        assert_eq!(text("{{.Actor.Attributes.exitCode}}"), "5\n");
        let json: serde_json::Value = serde_json::from_str(&text("json")).unwrap();
        assert_eq!((json["status"].as_str(), json["scope"].as_str()), (Some("die"), Some("local")));
        assert!(json["timeNano"].as_i64().unwrap() > 1_000_000_000);
    }
}
