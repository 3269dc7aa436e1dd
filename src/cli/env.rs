//! Environment variables from flags and files.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use anyhow::Context;

/// Files first, flags after them, as docker reads them.
pub fn environment(files: &[PathBuf], flags: &[OsString]) -> anyhow::Result<Vec<Vec<u8>>> {
    let mut env = Vec::new();
    for file in files {
        let text = std::fs::read(file)
            .with_context(|| format!("cannot read the env file {}", file.display()))?;
        for line in text.split(|&b| b == b'\n') {
            let line = line.strip_suffix(b"\r").unwrap_or(line).trim_ascii_start();
            if !line.is_empty() && !line.starts_with(b"#") {
                env.extend(variable(line)?);
            }
        }
    }
    for entry in flags {
        env.extend(variable(entry.as_bytes())?);
    }
    Ok(env)
}

/// `KEY=VALUE` as it is; `KEY` with the value that it has here, if it has one.
fn variable(entry: &[u8]) -> anyhow::Result<Option<Vec<u8>>> {
    match entry.iter().position(|&b| b == b'=') {
        Some(0) => anyhow::bail!("{:?} names no variable", String::from_utf8_lossy(entry)),
        Some(_) => Ok(Some(entry.to_vec())),
        None if entry.is_empty() => anyhow::bail!("an empty string names no variable"),
        None => {
            let value = std::env::var_os(OsStr::from_bytes(entry));
            Ok(value.map(|v| [entry, b"=", v.as_bytes()].concat()))
        }
    }
}
