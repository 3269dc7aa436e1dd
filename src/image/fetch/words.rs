//! What skopeo says, on stdout and at its end.

use std::io::{BufRead, BufReader, Read};

use crate::image::reference::Reference;
use crate::image::{Digest, Error, Progress};
use crate::tool;

/// Longer lines than this are no progress.
const MAX_LINE: u64 = 512;

/// Reads skopeo's progress from its terminal, to its end. `layers` are those
/// that it shortens to twelve digits.
pub fn report(from: impl Read, layers: &[Digest], progress: &mut dyn FnMut(Progress)) {
    let mut lines = BufReader::new(from);
    let mut line = Vec::new();
    // The end of a terminal whose other side is closed is an error (EIO).
    while matches!(lines.by_ref().take(MAX_LINE).read_until(b'\n', &mut line), Ok(n) if n > 0) {
        let text = plain(&String::from_utf8_lossy(&line));
        if let Some(step) = step(text.trim(), layers) {
            progress(step);
        }
        line.clear();
    }
}

/// Without the movements of the cursor: `ESC [ … LETTER`.
fn plain(text: &str) -> String {
    let mut parts = text.split("\x1b[");
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part.find(|c: char| c.is_ascii_alphabetic()).map_or(part.len(), |at| at + 1);
        plain.push_str(&part[end..]);
    }
    plain
}

/// `Copying blob 84daa5888804 [==>---] 1.8MiB / 42.4MiB`, or with `done` or
/// `skipped: already exists` at its end.
fn step(line: &str, layers: &[Digest]) -> Option<Progress> {
    let mut words = line.strip_prefix("Copying blob ")?.split_whitespace();
    let id = words.next()?.trim_start_matches("sha256:");
    let layer = *layers.iter().find(|layer| id.len() >= 12 && layer.hex().starts_with(id))?;
    match words.next() {
        Some("done") | Some("skipped:") => Some(Progress::Fetched { layer }),
        _ => {
            let (bar, _) = line.rsplit_once(" / ")?;
            let bytes = bytes(bar.rsplit(' ').next()?)?;
            Some(Progress::Fetching { layer, bytes })
        }
    }
}

/// `1.8MiB`
fn bytes(text: &str) -> Option<u64> {
    let unit = text.find(|c: char| c.is_ascii_alphabetic())?;
    let number: f64 = text[..unit].parse().ok()?;
    let shift = match &text[unit..] {
        "b" | "B" => 0,
        "KiB" => 10,
        "MiB" => 20,
        "GiB" => 30,
        "TiB" => 40,
        _ => return None,
    };
    Some((number * 2_f64.powi(shift)) as u64)
}

/// skopeo's failure, with the image and its own words.
pub fn failure(reference: &Reference, error: tool::Error) -> Error {
    match error {
        tool::Error::Failed { words, .. } if !words.trim().is_empty() => {
            Error::Fetch { reference: reference.to_string(), words: message(&words) }
        }
        other => Error::Tool(other),
    }
}

/// The last line of skopeo's log without its dress:
/// `time="…" level=fatal msg="…"`.
pub fn message(log: &str) -> String {
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
    fn bars_are_read() {
        let layer = Digest::of(b"x");
        let id = layer.short();
        let log = format!(
            "Getting image source signatures\r\n\
             Copying blob {id} [=>---] 1.5MiB / 42.4MiB\r\n\
             \x1b[5A\x1b[JCopying blob {id} [==>--] 364.0b / 42.4MiB\r\n\
             Copying blob 000000000000 done\r\n\
             Copying blob {id} [==>--] broken\r\n\
             Copying blob {id} done  \r\nCopying blob {}",
            "x".repeat(2000)
        );
        let mut seen = Vec::new();
        report(log.as_bytes(), &[layer], &mut |p| seen.push(p));
        assert_eq!(
            seen,
            [
                Progress::Fetching { layer, bytes: 1_572_864 },
                Progress::Fetching { layer, bytes: 364 },
                Progress::Fetched { layer }
            ]
        );
        assert_eq!(bytes("2.0TiB"), Some(2 << 40));
    }
}
