//! `vxn diff`.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::process::ExitCode;

use clap::Args;
use serde_json::json;
use vxn_proto::FileRequest;

use super::engine::Engine;
use super::files;
use super::format::{Format, Row};
use crate::config::Settings;

/// The longest record: a letter, a path as long as Linux takes (`PATH_MAX`), NUL.
const MAX_RECORD: u64 = 4096 + 2;

/// Most bytes of all records together.
const MAX_BYTES: u64 = 256 << 20;

/// List what a container has changed of its image: A for added, C for changed, D for
/// deleted.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  vxn diff web\n  vxn diff --format '{{.Path}}' web")]
pub struct DiffArgs {
    /// A line like '{{.Kind}} {{.Path}}' for each, in place of the list.
    #[arg(long, value_name = "TEXT", conflicts_with = "json")]
    format: Option<Format>,
    /// A line of JSON for each.
    #[arg(long)]
    json: bool,
    /// Name or id.
    container: String,
}

/// A kind and a path.
type Change = (char, Vec<u8>);

/// Lists the changes.
pub fn run(args: &DiffArgs, settings: &Settings) -> anyhow::Result<ExitCode> {
    let engine = Engine::new("diff", settings)?;
    let definition = engine.store.find(&args.container)?;
    let changes = files::with(&engine, &definition, false, settings, |files| {
        files.fetch(FileRequest::Changes, |from| Ok(read(from)?))
    })?;
    let mut out = io::BufWriter::new(io::stdout().lock());
    match args.format.clone().or(args.json.then_some(Format::Json)) {
        Some(format) => {
            let rows: Vec<Row> = changes.iter().map(row).collect();
            out.write_all(format.render(&rows)?.as_bytes())?;
        }
        None => {
            for (kind, path) in changes {
                write!(out, "{kind} ")?;
                out.write_all(&path)?;
                writeln!(out)?;
            }
        }
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

/// With docker's names of the fields.
fn row((kind, path): &Change) -> Row {
    let mut row = Row::new();
    row.insert("Kind".to_owned(), json!(kind));
    row.insert("Path".to_owned(), json!(String::from_utf8_lossy(path)));
    row
}

/// Reads what the guest tells.
fn read(from: &mut dyn Read) -> io::Result<Vec<Change>> {
    let mut from = BufReader::new(from.take(MAX_BYTES));
    let mut changes = Vec::new();
    loop {
        let mut record = Vec::new();
        (&mut from).take(MAX_RECORD).read_until(0, &mut record)?;
        match record.as_slice() {
            [] if from.get_ref().limit() > 0 => return Ok(changes),
            [kind @ (b'A' | b'C' | b'D'), b'/', .., 0] => {
                let path = record[1..record.len() - 1].to_vec();
                changes.push((char::from(*kind), path));
            }
            _ => return Err(io::Error::other("the guest's list of changes makes no sense")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_read_and_what_is_none_is_refused() {
        let changes = read(&mut &b"A/a\0C/b c\0D/\xff\0"[..]).unwrap();
        let expected = [('A', b"/a".to_vec()), ('C', b"/b c".to_vec()), ('D', b"/\xff".to_vec())];
        assert_eq!(changes, expected);
        assert_eq!(read(&mut &b""[..]).unwrap(), []);
        let long = [b"A/", &[b'x'; 5000][..], b"\0"].concat();
        for bad in [&b"A/a"[..], b"X/a\0", b"Aa\0", b"\0", b"A\0", &long] {
            assert!(read(&mut &*bad).is_err(), "{bad:?}");
        }
    }
}
