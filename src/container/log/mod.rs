//! What containers say, kept on disk in the format of Kubernetes' CRI:
//!
//! ```text
//! 2026-11-24T16:40:13.123456789Z stdout F a whole line
//! 2026-11-24T16:40:13.123456789Z stderr P the beginning of a line
//! ```
//!
//! The bytes of the lines are the container's own.

mod read;
mod tail;
mod write;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use vxn_proto::StreamKind;

pub use read::{Entry, Error, Follow, Reader, Selection};
pub use write::Writer;

use crate::config::Memory;
use crate::state::rotated;

/// How a container's output is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogOptions {
    /// Not at all.
    None,
    /// In files of at most so many bytes, and at most so many of them.
    Local {
        /// Bytes of a file; `None` is no limit.
        max_size: Option<u64>,
        /// Files, the current one among them.
        max_file: u32,
    },
}

/// docker's for its "local" driver: a container cannot fill Dom0's disk.
impl Default for LogOptions {
    fn default() -> LogOptions {
        LogOptions::Local { max_size: Some(20 << 20), max_file: 5 }
    }
}

impl LogOptions {
    /// Reads `--log-driver` and `--log-opt KEY=VALUE …`.
    pub fn parse(driver: Option<&str>, options: &[String]) -> Result<LogOptions, String> {
        match driver {
            Some("none") if options.is_empty() => return Ok(LogOptions::None),
            Some("none") => return Err("--log-driver none takes no --log-opt".to_owned()),
            None | Some("local") => {}
            Some(other) => {
                return Err(format!("there is no log driver {other:?}: local and none are"));
            }
        }
        let (mut size, mut files) = (Some(20 << 20), 5);
        for option in options {
            let (key, value) =
                option.split_once('=').ok_or_else(|| format!("{option:?} is not KEY=VALUE"))?;
            match key {
                "max-size" if value == "-1" => size = None,
                "max-size" => {
                    let bytes = value.parse::<Memory>()?.bytes();
                    size = Some(bytes).filter(|&bytes| bytes > 0);
                    size.ok_or("max-size is above 0, or -1 for no limit")?;
                }
                "max-file" => {
                    files = value.parse().ok().filter(|&n| (1..=1000).contains(&n)).ok_or_else(
                        || format!("max-file is a number from 1 to 1000, not {value:?}"),
                    )?;
                }
                _ => return Err(format!("there is no log option {key:?}: max-size, max-file")),
            }
        }
        Ok(LogOptions::Local { max_size: size, max_file: files })
    }
}

/// The directory of a container's log.
pub fn directory(home: &Path) -> PathBuf {
    home.join("log")
}

/// The current file, or the one before it by `age` rotations.
fn file(dir: &Path, age: u32) -> PathBuf {
    rotated::file(&dir.join("container.log"), age)
}

fn word(kind: StreamKind) -> &'static str {
    if kind == StreamKind::Stderr { "stderr" } else { "stdout" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read_as_docker_has_them() {
        let parse = |options: &[&str]| {
            let options: Vec<String> = options.iter().map(|o| (*o).to_owned()).collect();
            LogOptions::parse(None, &options)
        };
        assert_eq!(parse(&[]), Ok(LogOptions::default()));
        let local = |max_size, max_file| Ok(LogOptions::Local { max_size, max_file });
        assert_eq!(parse(&["max-size=10k", "max-file=2"]), local(Some(10 << 10), 2));
        assert_eq!(parse(&["max-size=-1"]), local(None, 5));
        for bad in ["max-size=0", "max-file=0", "max-file=x", "compress=true", "x"] {
            assert!(parse(&[bad]).is_err(), "{bad}");
        }
        assert_eq!(LogOptions::parse(Some("none"), &[]), Ok(LogOptions::None));
        assert!(LogOptions::parse(Some("syslog"), &[]).is_err());
    }
}
