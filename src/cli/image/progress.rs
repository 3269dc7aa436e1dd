//! Progress of pulls and pushes: bars on a terminal, plain lines elsewhere,
//! or an event a line as JSON.

use std::collections::HashMap;
use std::io::{IsTerminal, stderr};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::image::{Digest, LayerState, Progress};

/// Shows one image's progress.
#[derive(Debug)]
pub struct Show(Kind);

#[derive(Debug)]
enum Kind {
    Nothing,
    Json,
    Lines(Lines),
    Bars(Box<Bars>),
}

impl Show {
    /// Not at all.
    pub fn nothing() -> Show {
        Show(Kind::Nothing)
    }

    /// On stdout, as JSON.
    pub fn json() -> Show {
        Show(Kind::Json)
    }

    /// On stderr, by bars if that is a terminal.
    pub fn on_stderr() -> Show {
        let bars = stderr().is_terminal();
        Show(if bars { Kind::Bars(Box::default()) } else { Kind::Lines(Lines::default()) })
    }

    /// Shows a step.
    pub fn step(&mut self, step: Progress) {
        match &mut self.0 {
            Kind::Nothing => {}
            Kind::Json => println!("{}", serde_json::to_string(&step).unwrap_or_default()),
            Kind::Lines(lines) => lines.step(step).iter().for_each(|line| eprintln!("{line}")),
            Kind::Bars(bars) => bars.step(&step),
        }
    }

    /// Leaves the terminal in order.
    pub fn end(&mut self) {
        if let Kind::Bars(bars) = &mut self.0 {
            bars.end();
        }
    }
}

/// docker's words for layers, without what only a terminal can show.
#[derive(Debug, Default)]
struct Lines {
    layers: Vec<LayerState>,
    done: Vec<Digest>,
    started: Option<Instant>,
}

impl Lines {
    fn step(&mut self, step: Progress) -> Vec<String> {
        match step {
            Progress::Waiting => vec![WAITING.to_owned()],
            Progress::UpToDate => vec!["Image is up to date".to_owned()],
            Progress::Layers { layers } => {
                self.started = Some(Instant::now());
                self.layers = layers;
                let missing = self.layers.iter().filter(|layer| layer.present);
                missing.map(|l| format!("{}: Already exists", l.digest.short())).collect()
            }
            Progress::Fetched { layer } => self.fetched(layer).into_iter().collect(),
            Progress::Check { number, count } => {
                vec![format!("Checking layer {number} of {count}")]
            }
            Progress::Write { number, count } => vec![format!("Writing layer {number} of {count}")],
            Progress::Fetching { .. } | Progress::Done => Vec::new(),
        }
    }

    /// Each once, with the total and the speed after the last.
    fn fetched(&mut self, layer: Digest) -> Vec<String> {
        let known = self.layers.iter().any(|l| l.digest == layer && !l.present);
        if !known || self.done.contains(&layer) {
            return Vec::new();
        }
        self.done.push(layer);
        let mut lines = vec![format!("{}: Copy complete", layer.short())];
        let mut moved: Vec<&LayerState> = self.layers.iter().filter(|l| !l.present).collect();
        moved.dedup_by_key(|l| l.digest);
        if moved.iter().all(|l| self.done.contains(&l.digest)) {
            let total: u64 = moved.iter().map(|l| l.size).sum();
            let seconds = self.started.map_or(0.0, |at| at.elapsed().as_secs_f64());
            let speed = crate::cli::format::bytes((total as f64 / seconds.max(0.001)) as u64);
            lines.push(format!("Total {} at {speed}/s", crate::cli::format::bytes(total)));
        }
        lines
    }
}

const WAITING: &str = "Waiting for another command that fetches the same layers";

/// A bar for each layer, one for the total, and a line that says what is done.
#[derive(Debug, Default)]
struct Bars {
    all: MultiProgress,
    layers: HashMap<Digest, ProgressBar>,
    total: Option<ProgressBar>,
    now: Option<ProgressBar>,
}

const BAR: &str = "{prefix}: {wide_msg} [{bar:30}] {bytes:>10} / {total_bytes:10}";
const TOTAL: &str =
    "{prefix}: {wide_msg} [{bar:30}] {bytes:>10} / {total_bytes:10} {bytes_per_sec:12}";

impl Bars {
    fn step(&mut self, step: &Progress) {
        match step {
            Progress::Waiting => self.say(WAITING.to_owned()),
            Progress::UpToDate => self.say("Image is up to date".to_owned()),
            Progress::Layers { layers } => self.begin(layers),
            Progress::Fetching { layer, bytes } => {
                if let Some(bar) = self.layers.get(layer) {
                    bar.set_message("Copying");
                    bar.set_position(*bytes);
                }
                self.sum();
            }
            Progress::Fetched { layer } => {
                if let Some(bar) = self.layers.get(layer).filter(|bar| !bar.is_finished()) {
                    bar.set_position(bar.length().unwrap_or(0));
                    bar.finish_with_message("Copy complete");
                }
                self.sum();
            }
            Progress::Check { number, count } => {
                self.say(format!("Checking layer {number} of {count}"))
            }
            Progress::Write { number, count } => {
                self.say(format!("Writing layer {number} of {count}"))
            }
            Progress::Done => self.end(),
        }
    }

    fn begin(&mut self, layers: &[LayerState]) {
        for layer in layers {
            if self.layers.contains_key(&layer.digest) {
                continue;
            }
            let bar = self.bar(BAR, layer.size, layer.digest.short());
            if layer.present {
                bar.set_position(layer.size);
                bar.finish_with_message("Already exists");
            } else {
                bar.set_message("Waiting");
            }
            self.layers.insert(layer.digest, bar);
        }
        let missing = layers.iter().filter(|layer| !layer.present).map(|layer| layer.size).sum();
        let total = self.bar(TOTAL, missing, "Total".to_owned());
        self.total = Some(total);
    }

    fn bar(&self, template: &str, length: u64, name: String) -> ProgressBar {
        let style = ProgressStyle::with_template(template)
            .unwrap_or_else(|_| ProgressStyle::default_bar())
            .progress_chars("=> ");
        self.all.add(ProgressBar::new(length).with_style(style).with_prefix(name))
    }

    /// The total moves with the layers that are not there yet.
    fn sum(&self) {
        let Some(total) = &self.total else { return };
        let whole: u64 = self.layers.values().filter_map(ProgressBar::length).sum();
        let there = whole - total.length().unwrap_or(0).min(whole);
        let moved: u64 = self.layers.values().map(ProgressBar::position).sum();
        total.set_position(moved.saturating_sub(there));
    }

    fn say(&mut self, text: String) {
        let all = &self.all;
        let now = self.now.get_or_insert_with(|| {
            let line = all.add(ProgressBar::new_spinner());
            line.enable_steady_tick(Duration::from_millis(200));
            line
        });
        now.set_message(text);
    }

    fn end(&mut self) {
        if let Some(now) = self.now.take() {
            now.finish_and_clear();
        }
        if let Some(total) = self.total.take() {
            total.finish();
        }
        self.layers.values().for_each(ProgressBar::abandon);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_lines_say_each_layer_once() {
        let [new, old] = [b"new", b"old"].map(|text| Digest::of(text));
        let state = |digest, present| LayerState { digest, size: 1_000_000, present };
        let mut lines = Lines::default();
        let layers = vec![state(new, false), state(old, true)];
        let exists = lines.step(Progress::Layers { layers });
        assert_eq!(exists, [format!("{}: Already exists", old.short())]);
        assert!(lines.step(Progress::Fetching { layer: new, bytes: 1 }).is_empty());
        assert!(lines.step(Progress::Fetched { layer: old }).is_empty());
        let done = lines.step(Progress::Fetched { layer: new });
        assert_eq!(done[0], format!("{}: Copy complete", new.short()));
        assert!(done[1].starts_with("Total 1MB at "), "{done:?}");
        assert!(lines.step(Progress::Fetched { layer: new }).is_empty());
    }

    #[test]
    fn events_name_themselves() {
        let event = serde_json::to_string(&Progress::Check { number: 1, count: 2 }).unwrap();
        assert_eq!(event, r#"{"event":"check","number":1,"count":2}"#);
    }
}
