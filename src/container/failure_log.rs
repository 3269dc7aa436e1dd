//! The log of an OCI runtime's caller: one line for each failure, and nothing else.
//! containerd takes the last line of it, podman the whole of it.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// How a line of the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Format {
    /// Words for people.
    Text,
    /// An object.
    Json,
}

/// Where failures go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailureLog {
    /// The file; it is made when there is something to say.
    pub file: PathBuf,
    /// How a line is written.
    pub format: Format,
}

impl FailureLog {
    /// Adds a failure.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn add(&self, error: &str) -> io::Result<()> {
        let line = self.format.line(error, Timestamp::now());
        let mut file = OpenOptions::new().append(true).create(true).open(&self.file)?;
        file.write_all(line.as_bytes())
    }
}

impl Format {
    fn line(self, error: &str, now: Timestamp) -> String {
        let time = now.round(jiff::Unit::Second).unwrap_or(now).to_string();
        match self {
            Format::Text => format!("time={time:?} level=error msg={error:?}\n"),
            Format::Json => {
                let line = serde_json::json!({ "level": "error", "msg": error, "time": time });
                format!("{line}\n")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_an_object_or_words() {
        let now = "2026-01-02T03:04:05.6Z".parse().unwrap();
        let line = Format::Json.line("no \"x\"", now);
        let read: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(read["msg"], "no \"x\"");
        assert_eq!(
            (&read["level"], &read["time"]),
            (&"error".into(), &"2026-01-02T03:04:06Z".into())
        );
        let text = Format::Text.line("no", now);
        assert_eq!(text, "time=\"2026-01-02T03:04:06Z\" level=error msg=\"no\"\n");
    }

    #[test]
    fn failures_are_added_one_by_one() {
        let dir = tempfile::tempdir().unwrap();
        let log = FailureLog { file: dir.path().join("log"), format: Format::Json };
        log.add("one").unwrap();
        log.add("two").unwrap();
        assert_eq!(std::fs::read_to_string(&log.file).unwrap().lines().count(), 2);
    }
}
