//! Lists and objects as users ask for them: a table, JSON, or `--format` with
//! docker's field names in braces, `{{.Repository}}:{{.Tag}}`. There are no
//! other template words: what is not a field is refused.

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value};

/// A line of a list: fields by docker's names.
pub type Row = Map<String, Value>;

/// What `--format` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Format {
    /// An object a line.
    Json,
    /// A line for each row; `table` puts the names of the fields above them.
    Fields {
        /// Whether in columns, under headings.
        table: bool,
        /// Text and fields in turns.
        parts: Vec<Part>,
    },
}

/// A piece of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// As it is.
    Text(String),
    /// The value at this path, as text or, with `json`, as JSON.
    Field {
        /// The names, from the outside in; none is the row itself.
        path: Vec<String>,
        /// As JSON.
        json: bool,
    },
}

impl std::str::FromStr for Format {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Format> {
        if text == "json" {
            return Ok(Format::Json);
        }
        let (table, text) = match text.strip_prefix("table ") {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let text = text.replace("\\t", "\t").replace("\\n", "\n");
        let mut parts = Vec::new();
        let mut rest = text.as_str();
        while let Some((before, after)) = rest.split_once("{{") {
            let (inside, after) = after.split_once("}}").context("a {{ has no }}")?;
            parts.push(Part::Text(before.to_owned()));
            parts.push(field(inside.trim())?);
            rest = after;
        }
        parts.push(Part::Text(rest.to_owned()));
        parts.retain(|part| *part != Part::Text(String::new()));
        Ok(Format::Fields { table, parts })
    }
}

fn field(text: &str) -> Result<Part> {
    let (json, name) = match text.strip_prefix("json ") {
        Some(name) => (true, name.trim()),
        None => (false, text),
    };
    let Some(path) = name.strip_prefix('.') else {
        bail!("{{{{{text}}}}} is neither {{{{.Field}}}} nor {{{{json .Field}}}}");
    };
    let path = path.split('.').filter(|name| !name.is_empty()).map(str::to_owned).collect();
    Ok(Part::Field { path, json })
}

impl Format {
    /// The rows, each on a line of its own.
    pub fn render(&self, rows: &[Row]) -> Result<String> {
        match self {
            Format::Json => rows.iter().map(|row| Ok(serde_json::to_string(row)? + "\n")).collect(),
            Format::Fields { table: false, parts } => {
                rows.iter().map(|row| Ok(line(parts, row)? + "\n")).collect()
            }
            Format::Fields { table: true, parts } => {
                let mut lines = vec![headings(parts)];
                for row in rows {
                    lines.push(line(parts, row)?.split('\t').map(str::to_owned).collect());
                }
                Ok(columns(&lines))
            }
        }
    }
}

fn line(parts: &[Part], row: &Row) -> Result<String> {
    let mut line = String::new();
    for part in parts {
        match part {
            Part::Text(text) => line.push_str(text),
            Part::Field { path, json } => {
                let value = find(row, path)?;
                line += &if *json { value.to_string() } else { plain(&value) };
            }
        }
    }
    Ok(line)
}

fn find(row: &Row, path: &[String]) -> Result<Value> {
    let mut here = &Value::Object(row.clone());
    for name in path {
        let Value::Object(object) = here else { bail!("{name}: there is nothing inside a value") };
        let names = || object.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
        here =
            object.get(name).with_context(|| format!("no field {name}: there are {}", names()))?;
    }
    Ok(here.clone())
}

/// As Go prints values.
fn plain(value: &Value) -> String {
    match value {
        Value::Null => "<no value>".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(list) => format!("[{}]", list.iter().map(plain).collect::<Vec<_>>().join(" ")),
        Value::Object(map) => {
            let pairs = map.iter().map(|(key, value)| format!("{key}:{}", plain(value)));
            format!("map[{}]", pairs.collect::<Vec<_>>().join(" "))
        }
        other => other.to_string(),
    }
}

fn headings(parts: &[Part]) -> Vec<String> {
    let name = |part: &Part| match part {
        Part::Text(text) => text.clone(),
        Part::Field { path, .. } => path.last().map(|n| heading(n)).unwrap_or_default(),
    };
    parts.iter().map(name).collect::<String>().split('\t').map(str::to_owned).collect()
}

/// `CreatedSince` is shown as `CREATED SINCE`.
fn heading(name: &str) -> String {
    let mut text = String::new();
    for (at, c) in name.char_indices() {
        let after_lower = name[..at].chars().last().is_some_and(char::is_lowercase);
        if c.is_uppercase() && after_lower {
            text.push(' ');
        }
        text.extend(c.to_uppercase());
    }
    text
}

/// Columns as docker sets them: as wide as their widest cell, three blanks apart.
pub fn columns(lines: &[Vec<String>]) -> String {
    let count = lines.iter().map(Vec::len).max().unwrap_or(0);
    let width = |n: usize| {
        let cells = lines.iter().filter_map(|line| line.get(n));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0) + 3
    };
    let widths: Vec<usize> = (0..count).map(width).collect();
    let mut text = String::new();
    for line in lines {
        let cells = line.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        text += cells.collect::<String>().trim_end();
        text.push('\n');
    }
    text
}

/// Bytes in docker's units, `77.8MB`: three digits, powers of a thousand.
pub fn bytes(count: u64) -> String {
    let mut size = count as f64;
    let mut units = ["B", "kB", "MB", "GB", "TB"].into_iter().peekable();
    while let Some(unit) = units.next() {
        if size < 999.5 || units.peek().is_none() {
            let digits = match size {
                s if s >= 99.95 || unit == "B" => 0,
                s if s >= 9.995 => 1,
                _ => 2,
            };
            let text = format!("{size:.digits$}");
            let text =
                if digits > 0 { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
            return format!("{text}{unit}");
        }
        size /= 1000.0;
    }
    unreachable!("the last unit holds everything")
}

/// Bytes of memory in docker's units, `5.684MiB`: four digits, powers of 1024.
pub fn binary_bytes(count: u64) -> String {
    let mut size = count as f64;
    let mut units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"].into_iter();
    let mut unit = units.next().unwrap_or_default();
    while size >= 1024.0 {
        let Some(next) = units.next() else { break };
        (size, unit) = (size / 1024.0, next);
    }
    let digits = match size {
        s if s >= 1000.0 => 0,
        s if s >= 100.0 => 1,
        s if s >= 10.0 => 2,
        _ => 3,
    };
    let text = format!("{size:.digits$}");
    let text = if digits > 0 { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    format!("{text}{unit}")
}

/// How long ago, in docker's words.
pub fn ago(seconds: i64) -> String {
    let (minute, hour, day) = (60, 3600, 24 * 3600);
    let many = |count: i64, unit: &str| format!("{count} {unit} ago");
    match seconds {
        s if s < 1 => "Less than a second ago".to_owned(),
        1 => "1 second ago".to_owned(),
        s if s < minute => many(s, "seconds"),
        s if s < 2 * minute => "About a minute ago".to_owned(),
        s if s < hour => many(s / minute, "minutes"),
        s if s < 2 * hour => "About an hour ago".to_owned(),
        s if s < 2 * day => many(s / hour, "hours"),
        s if s < 14 * day => many(s / day, "days"),
        s if s < 60 * day => many(s / (7 * day), "weeks"),
        s if s < 730 * day => many(s / (30 * day), "months"),
        s => many(s / (365 * day), "years"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn row(value: Value) -> Row {
        serde_json::from_value(value).unwrap()
    }

    fn render(format: &str, rows: &[Row]) -> Result<String> {
        format.parse::<Format>()?.render(rows)
    }

    #[test]
    fn fields_are_put_in() {
        let rows = [row(json!({"ID": "12", "Tag": "a", "List": ["x", 1], "In": {"Side": true}}))];
        assert_eq!(render("{{.ID}}:{{ .Tag }}!", &rows).unwrap(), "12:a!\n");
        assert_eq!(
            render("{{.List}} {{.In.Side}} {{.In}}", &rows).unwrap(),
            "[x 1] true map[Side:true]\n"
        );
        assert_eq!(render("{{json .List}}", &rows).unwrap(), "[\"x\",1]\n");
        assert_eq!(render("table {{.ID}}\\t{{.Tag}}", &rows).unwrap(), "ID   TAG\n12   a\n");
        assert!(render("json", &rows).unwrap().contains("\"Tag\":\"a\""));
    }

    #[test]
    fn what_is_no_field_is_refused() {
        let rows = [row(json!({"ID": "12"}))];
        for (format, word) in [
            ("{{.Id}}", "there are ID"),
            ("{{range .ID}}", "neither"),
            ("{{.ID", "no }}"),
            ("{{.ID.x}}", "nothing inside"),
        ] {
            let error = format!("{:#}", render(format, &rows).unwrap_err());
            assert!(error.contains(word), "{error}");
        }
    }

    #[test]
    fn sizes_and_ages_are_dockers() {
        for (count, text) in [(0, "0B"), (999, "999B"), (1000, "1kB"), (4_260_000, "4.26MB")] {
            assert_eq!(bytes(count), text);
        }
        assert_eq!(bytes(77_810_000), "77.8MB");
        assert_eq!(bytes(1_420_000_000), "1.42GB");
        assert_eq!(bytes(999_999), "1MB");
        assert_eq!([0, 1023, 5_960_000].map(binary_bytes), ["0B", "1023B", "5.684MiB"]);
        assert_eq!(
            [160 << 20, 2_097_000_000, u64::MAX].map(binary_bytes),
            ["160MiB", "1.953GiB", "16EiB"]
        );
        assert_eq!(ago(0), "Less than a second ago");
        assert_eq!(ago(45), "45 seconds ago");
        assert_eq!(ago(3 * 86400), "3 days ago");
        assert_eq!(ago(20 * 86400), "2 weeks ago");
        assert_eq!(ago(800 * 86400), "2 years ago");
    }

    #[test]
    fn headings_are_words() {
        assert_eq!(heading("CreatedSince"), "CREATED SINCE");
        assert_eq!(heading("ID"), "ID");
    }
}
