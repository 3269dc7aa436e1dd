//! How a failure is told: on stderr, and as one line in the caller's log, which holds
//! nothing else. containerd takes the last line of it, podman the whole of it.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use jiff::Timestamp;

use super::OciArgs;
use crate::cli::failure::Failure;

/// How a line of the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Words for people.
    Text,
    /// An object.
    Json,
}

/// Where failures go.
#[derive(Debug)]
pub struct Log {
    file: Option<PathBuf>,
    format: Format,
}

impl Log {
    /// What the command line says.
    pub fn of(args: &OciArgs) -> Log {
        Log { file: args.log.clone(), format: args.log_format }
    }

    /// Tells of a failure, and returns runc's exit code for it.
    pub fn fail(&self, failure: &Failure) -> ExitCode {
        if let Some(file) = &self.file {
            let line = self.format.line(failure.error(), Timestamp::now());
            if let Err(e) = append(file, &line) {
                eprintln!("cannot write the log {}: {e}", file.display());
            }
        }
        failure.print_after("", 1)
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

fn append(file: &Path, line: &str) -> io::Result<()> {
    OpenOptions::new().append(true).create(true).open(file)?.write_all(line.as_bytes())
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
}
