//! `vxn logs`.

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use jiff::Timestamp;
use vxn_proto::StreamKind;

use super::engine::Engine;
use crate::config::Settings;
use crate::container::definition::Definition;
use crate::container::log::{self, Entry, Follow, LogOptions, Reader, Selection};

/// Show what a container has said, also when it has ended.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  vxn logs web\n  vxn logs -f --tail 10 web\n  \
                        vxn logs -t --since 10m web")]
pub struct LogsArgs {
    /// Go on with what it says, until it ends.
    #[arg(short, long)]
    follow: bool,
    /// Only so many of the last lines, or all.
    #[arg(short = 'n', long, value_name = "LINES", default_value = "all", value_parser = tail)]
    tail: Tail,
    /// Nothing older: a time, or how long ago, as 10m or 1h30m.
    #[arg(long, value_name = "TIME", value_parser = time)]
    since: Option<Timestamp>,
    /// Nothing younger.
    #[arg(long, value_name = "TIME", value_parser = time)]
    until: Option<Timestamp>,
    /// Show the time before each line.
    #[arg(short, long)]
    timestamps: bool,
    /// Name or id.
    container: String,
}

#[derive(Debug, Clone, Copy)]
struct Tail(Option<usize>);

fn tail(text: &str) -> Result<Tail, String> {
    match text {
        "all" => Ok(Tail(None)),
        _ => {
            text.parse().map(|n| Tail(Some(n))).map_err(|_| "a number of lines, or all".to_owned())
        }
    }
}

/// docker's: RFC 3339, seconds since 1970, or a duration before now.
pub fn time(text: &str) -> Result<Timestamp, String> {
    let bad = || format!("{text:?} is no time: 2026-01-31T12:00:00Z, seconds since 1970, or 10m");
    if let Ok(time) = text.parse() {
        return Ok(time);
    }
    if let Ok(seconds) = text.parse::<f64>() {
        let since = Duration::try_from_secs_f64(seconds).map_err(|_| bad())?;
        return Timestamp::UNIX_EPOCH.checked_add(since).map_err(|_| bad());
    }
    let span = text.parse::<jiff::SignedDuration>().map_err(|_| bad())?;
    Timestamp::now().checked_sub(span).map_err(|_| bad())
}

/// Shows the log.
pub fn run(args: &LogsArgs, settings: &Settings) -> anyhow::Result<ExitCode> {
    let engine = Engine::new("logs", settings)?;
    let definition = engine.store.find(&args.container)?;
    if definition.log == LogOptions::None {
        bail!("container {} keeps no log: it was created with --log-driver none", definition.name);
    }
    match show(args, &engine, &definition) {
        // `vxn logs x | head` has seen enough.
        Err(e) if broken_pipe(&e) => Ok(ExitCode::SUCCESS),
        shown => shown.map(|()| ExitCode::SUCCESS),
    }
}

fn show(args: &LogsArgs, engine: &Engine, definition: &Definition) -> anyhow::Result<()> {
    let dir = log::directory(&engine.store.home(&definition.id));
    let mut selection = Selection { tail: args.tail.0, since: args.since, until: args.until };
    // Watched before it is read: nothing is missed in between.
    let follow = args.follow && dir.exists();
    let follow = follow.then(|| Follow::new(&dir, &engine.live(definition))).transpose();
    let follow = follow.context("cannot watch the log")?;
    let mut reader = Reader::open(&dir)?;
    let mut printer = Printer { timestamps: args.timestamps, begun: [false; 2] };
    loop {
        let alive = follow.as_ref().is_some_and(Follow::alive);
        reader.read(&selection, &mut |entry| printer.print(&entry))?;
        io::stdout().flush()?;
        selection.tail = None;
        let over = args.until.is_some_and(|until| until < Timestamp::now());
        match &follow {
            Some(follow) if alive && !over => follow.wait().context("cannot watch the log")?,
            _ => return Ok(()),
        }
    }
}

/// Whether the reader of the output has gone.
pub fn broken_pipe(error: &anyhow::Error) -> bool {
    let is = |e: &io::Error| e.kind() == io::ErrorKind::BrokenPipe;
    error.chain().filter_map(|e| e.downcast_ref()).any(is)
}

/// Writes entries where the container did.
struct Printer {
    timestamps: bool,
    /// The streams whose last line is not at its end.
    begun: [bool; 2],
}

impl Printer {
    fn print(&mut self, entry: &Entry) -> io::Result<()> {
        let error = entry.stream == StreamKind::Stderr;
        let mut out: Box<dyn Write> =
            if error { Box::new(io::stderr()) } else { Box::new(io::stdout()) };
        let begun = &mut self.begun[usize::from(error)];
        if self.timestamps && !*begun {
            write!(out, "{:.9} ", entry.time)?;
        }
        *begun = !entry.bytes.ends_with(b"\n");
        out.write_all(&entry.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_docker_does() {
        assert_eq!(time("1970-01-01T00:01:00Z"), Ok(Timestamp::from_second(60).unwrap()));
        assert_eq!(time("60"), Ok(Timestamp::from_second(60).unwrap()));
        let ago = Timestamp::now().duration_since(time("1h30m").unwrap());
        assert!((5399..5402).contains(&ago.as_secs()), "{ago}");
        for text in ["", "yesterday", "-1"] {
            assert!(time(text).is_err(), "{text}");
        }
    }
}
