//! Where an archive goes that a verb writes: a file, which has its name when it is
//! whole, or stdout, unless that is a terminal.

use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};

use super::failure::Hint;

/// Bytes written at once.
const CHUNK: usize = 1 << 16;

/// Has `write` write to the file at `path`, or to stdout without one.
pub fn write(path: Option<&Path>, write: impl FnOnce(&mut dyn Write) -> Result<()>) -> Result<()> {
    match path {
        Some(path) => to_file(path, write),
        None if io::stdout().is_terminal() => Err(anyhow!("an archive is not for a terminal"))
            .context(Hint("use -o FILE, or redirect the output".to_owned())),
        None => {
            let mut out = BufWriter::with_capacity(CHUNK, io::stdout().lock());
            write(&mut out)?;
            out.flush().context("cannot write the archive")
        }
    }
}

fn to_file(path: &Path, write: impl FnOnce(&mut dyn Write) -> Result<()>) -> Result<()> {
    let failed = || format!("cannot write {}", path.display());
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).map(PathBuf::from);
    let dir = dir.unwrap_or_else(|| PathBuf::from("."));
    let half =
        tempfile::Builder::new().prefix(".vxn-save-").tempfile_in(dir).with_context(failed)?;
    let mut out = BufWriter::with_capacity(CHUNK, half);
    write(&mut out)?;
    out.flush().with_context(failed)?;
    let half = out.into_inner().with_context(failed)?;
    half.as_file().sync_all().with_context(failed)?;
    half.persist(path).map_err(|e| e.error).with_context(failed)?;
    Ok(())
}
