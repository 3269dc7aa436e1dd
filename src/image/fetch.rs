//! skopeo: what moves images from registries and archives into the store.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Command, Stdio};

use super::layout::Layout;
use super::reference::{Reference, Source};
use super::{Digest, Error, Progress, PullOptions, Result};
use crate::tool::{self, SKOPEO};

/// Copies the image that `reference` means for this host into the store at
/// `root` and returns its manifest's digest. skopeo puts a blob into the store
/// by renaming it, whole and checked, and skips those that are there.
pub fn skopeo(
    reference: &Reference,
    root: &Path,
    work: &Path,
    options: &PullOptions,
    progress: &mut dyn FnMut(Progress),
) -> Result<Digest> {
    let layout = work.join("layout");
    let mut command = SKOPEO.command()?;
    arguments(&mut command, root, work, options);
    command.arg(source(reference)).arg(format!("oci:{}", layout.display()));
    let mut running = SKOPEO.start(command.stdout(Stdio::piped()))?;
    if let Some(stdout) = running.stdout() {
        report(stdout, progress);
    }
    running.wait().map_err(|e| failure(reference, e))?;
    let index = Layout::at(&layout).index()?;
    let only = index.manifests().first().map(|d| d.digest().as_ref().parse());
    only.and_then(|digest| digest.ok()).ok_or_else(|| Error::Layout {
        path: layout,
        why: "skopeo left no manifest here".to_owned(),
    })
}

fn arguments(command: &mut Command, root: &Path, work: &Path, options: &PullOptions) {
    // Its big temporary files belong where a killed pull is cleaned up.
    command.env("TMPDIR", work);
    // Layers stay as they are: recompressing what is about to be unpacked is waste.
    command.args(["copy", "--dest-oci-accept-uncompressed-layers", "--dest-shared-blob-dir"]);
    command.arg(root.join("images/blobs"));
    if !options.tls_verify {
        command.arg("--src-tls-verify=false");
    }
    if let Some(file) = &options.authfile {
        command.arg("--authfile").arg(file);
    }
}

/// The reference in skopeo's words.
fn source(reference: &Reference) -> String {
    match reference.source {
        Source::Registry { .. } => format!("docker://{reference}"),
        _ => reference.to_string(),
    }
}

/// Longer lines than this are no progress.
const MAX_LINE: u64 = 512;

fn report(stdout: impl Read, progress: &mut dyn FnMut(Progress)) {
    let mut lines = BufReader::new(stdout);
    let mut line = Vec::new();
    while matches!(lines.by_ref().take(MAX_LINE).read_until(b'\n', &mut line), Ok(n) if n > 0) {
        let text = String::from_utf8_lossy(&line).trim().to_owned();
        if !text.is_empty() {
            progress(Progress::Fetch(text));
        }
        line.clear();
    }
}

fn failure(reference: &Reference, error: tool::Error) -> Error {
    match error {
        tool::Error::Failed { words, .. } if !words.trim().is_empty() => {
            Error::Fetch { reference: reference.to_string(), words: message(&words) }
        }
        other => Error::Tool(other),
    }
}

/// The last line of skopeo's log without its dress:
/// `time="…" level=fatal msg="…"`.
fn message(log: &str) -> String {
    let line = log.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default();
    let Some((_, quoted)) = line.split_once(" msg=") else { return line.trim().to_owned() };
    let Some(quoted) = quoted.strip_prefix('"') else { return quoted.to_owned() };
    let mut text = String::new();
    let mut chars = quoted.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => break,
            '\\' => match chars.next() {
                Some('n' | 't') => text.push(' '),
                Some(c) => text.push(c),
                None => {}
            },
            c => text.push(c),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn skopeos_log_is_undressed() {
        let log = "time=\"2026-11-23T09:00:00Z\" level=warning msg=\"first\"\n\
                   time=\"2026-11-23T09:00:00Z\" level=fatal msg=\"reading \\\"x\\\": denied\"\n";
        assert_eq!(message(log), "reading \"x\": denied");
        assert_eq!(message("plain words\n\n"), "plain words");
        assert_eq!(message("level=fatal msg=bare"), "bare");
        assert_eq!(message(""), "");
    }

    #[test]
    fn progress_is_line_by_line_and_bounded() {
        let mut seen = Vec::new();
        let long = "x".repeat(2000);
        report(format!("one\n\n{long}\ntwo").as_bytes(), &mut |p| seen.push(p.to_string().len()));
        assert_eq!(seen.first(), Some(&3));
        assert_eq!(seen.last(), Some(&3));
        assert!(seen.iter().all(|&len| len <= MAX_LINE as usize));
    }
}
