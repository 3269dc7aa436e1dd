//! What a guest prints for one command, read strictly out of a console that
//! everybody in the guest can write to.
//!
//! ```text
//! ===OUTPUT_START===          anything before it is noise
//! output …                    bytes, marker lines among them
//! ===OUTPUT_END===            glued to output that ends without a newline
//! ===EXIT_CODE=n===
//! ===END===
//! ```
//!
//! or `===ERROR===`, an explanation, `===END===`. The end is in the same band as
//! the output, so an output can look like an end. What looks like one is held
//! back and a PING is sent ([`Event::Candidate`]): the guest answers it after
//! the real end, so the last candidate before the PONG is the end, and all before
//! it is output.

use super::marker;

/// What was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Output of the command.
    Output(Vec<u8>),
    /// This looks like the end: send a PING.
    Candidate,
    /// The end, and the exit code of the command.
    Finished(u8),
    /// The guest did not do it, and says why.
    Refused(String),
}

/// A line that is no output is cut here: what the guest logs, and explanations.
const MAX_LINE: usize = 16 << 10;
/// The longest explanation.
const MAX_ERROR: usize = 64 << 10;
/// The most that is held back because it may be the end.
const MAX_HELD: usize = 4 << 20;

/// Reads one reply.
#[derive(Debug, Default)]
pub struct Reply {
    state: State,
    /// The bytes of the current line that are not dealt with yet.
    line: Vec<u8>,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Waiting,
    Output,
    Held(Held),
    Error(Vec<u8>),
    Over,
}

/// Output that may be the end of the reply.
#[derive(Debug, Default)]
struct Held {
    bytes: Vec<u8>,
    /// Where in `bytes` the latest `===OUTPUT_END===` stands.
    start: usize,
    stage: Stage,
    /// The exit code of the latest candidate.
    candidate: Option<u8>,
    /// The guest's terminal may still echo the PING that was sent for it.
    echo: bool,
}

#[derive(Debug, Default, Clone, Copy)]
enum Stage {
    #[default]
    Text,
    OutputEnd,
    ExitCode(u8),
}

impl Reply {
    /// Takes the next bytes of the console.
    pub fn feed(&mut self, bytes: &[u8], events: &mut Vec<Event>) {
        for piece in bytes.split_inclusive(|&b| b == b'\n') {
            self.line.extend(piece);
            if piece.ends_with(b"\n") {
                self.end_line(events);
            } else {
                self.part_of_a_line(events);
            }
        }
    }

    /// Whether all was said.
    pub fn is_over(&self) -> bool {
        matches!(self.state, State::Over)
    }

    fn end_line(&mut self, events: &mut Vec<Event>) {
        self.line.pop();
        // The guest's terminal writes a newline as CR and LF.
        if self.line.last() == Some(&b'\r') {
            self.line.pop();
        }
        let mut line = std::mem::take(&mut self.line);
        if let Some(part) = self.torn(&line) {
            line.truncate(part);
            self.line = line;
            return;
        }
        match std::mem::take(&mut self.state) {
            State::Waiting => self.state = waiting(&line),
            State::Output => self.output(line, events),
            State::Held(held) => self.held(held, line, events),
            State::Error(text) => self.state = error(text, &line, events),
            State::Over => self.state = State::Over,
        }
    }

    /// The length of the line before the kernel broke into a marker.
    fn torn(&self, line: &[u8]) -> Option<usize> {
        match &self.state {
            State::Output => marker::torn(line, marker::OUTPUT_END),
            State::Waiting | State::Held(_) | State::Error(_) => marker::torn_alone(line),
            State::Over => None,
        }
    }

    fn output(&mut self, mut line: Vec<u8>, events: &mut Vec<Event>) {
        if line.ends_with(marker::OUTPUT_END) {
            line.truncate(line.len() - marker::OUTPUT_END.len());
            emit(line, events);
            let bytes = [marker::OUTPUT_END, b"\n"].concat();
            self.state = State::Held(Held { bytes, stage: Stage::OutputEnd, ..Held::default() });
            return;
        }
        line.push(b'\n');
        emit(line, events);
        self.state = State::Output;
    }

    fn held(&mut self, mut held: Held, mut line: Vec<u8>, events: &mut Vec<Event>) {
        if held.echo && line.ends_with(marker::PING) {
            // It comes between two pieces of output, which may be one line.
            held.echo = false;
            line.truncate(line.len() - marker::PING.len());
            self.line = line;
            self.state = State::Held(held);
            return;
        }
        let stage = match (held.stage, marker::exit_code(&line)) {
            (_, _) if held.candidate.is_some() && line == marker::PONG => {
                events.extend(held.candidate.map(Event::Finished));
                self.state = State::Over;
                return;
            }
            (stage, _) if is_noise(&line) => Some(stage),
            (Stage::OutputEnd, Some(code)) => Some(Stage::ExitCode(code)),
            (Stage::ExitCode(code), _) if line == marker::END => {
                held.push(&line);
                held.complete(code, events);
                self.state = State::Held(held);
                return;
            }
            _ if held.candidate.is_some() => Some(Stage::Text),
            _ => None,
        };
        let Some(stage) = stage else {
            // Not even a candidate: it was output.
            emit(held.bytes, events);
            return self.output(line, events);
        };
        held.stage = stage;
        if matches!(stage, Stage::Text) && line.ends_with(marker::OUTPUT_END) {
            held.start = held.bytes.len() + line.len() - marker::OUTPUT_END.len();
            held.stage = Stage::OutputEnd;
        }
        held.push(&line);
        self.state = held.bounded(events);
    }

    /// Lets go of what is output for certain, and bounds the rest.
    fn part_of_a_line(&mut self, events: &mut Vec<Event>) {
        match &self.state {
            State::Output => {
                let rest = self.line.split_off(self.line.len() - kept(&self.line));
                emit(std::mem::replace(&mut self.line, rest), events);
            }
            State::Held(held) if held.candidate.is_none() && self.line.len() > MAX_LINE => {
                if let State::Held(held) = std::mem::replace(&mut self.state, State::Output) {
                    emit(held.bytes, events);
                }
                self.part_of_a_line(events);
            }
            State::Held(_) if self.line.len() > MAX_HELD => self.state = too_much(events),
            State::Held(_) => {}
            State::Waiting | State::Error(_) | State::Over => self.line.truncate(MAX_LINE),
        }
    }
}

impl Held {
    fn push(&mut self, line: &[u8]) {
        self.bytes.extend(line);
        self.bytes.push(b'\n');
    }

    /// What was held before the latest end is output after all.
    fn complete(&mut self, code: u8, events: &mut Vec<Event>) {
        let rest = self.bytes.split_off(self.start);
        emit(std::mem::replace(&mut self.bytes, rest), events);
        self.start = 0;
        self.stage = Stage::Text;
        if self.candidate.replace(code).is_none() {
            self.echo = true;
            events.push(Event::Candidate);
        }
    }

    fn bounded(self, events: &mut Vec<Event>) -> State {
        if self.bytes.len() > MAX_HELD { too_much(events) } else { State::Held(self) }
    }
}

fn too_much(events: &mut Vec<Event>) -> State {
    let why = "the output looks as if it had ended, and goes on: its end cannot be told";
    events.push(Event::Refused(why.to_owned()));
    State::Over
}

fn emit(bytes: Vec<u8>, events: &mut Vec<Event>) {
    if !bytes.is_empty() {
        events.push(Event::Output(bytes));
    }
}

/// A line of the kernel's; one that ends the output as well is not only that.
fn is_noise(line: &[u8]) -> bool {
    marker::is_kernels(line) && !line.ends_with(marker::OUTPUT_END)
}

fn waiting(line: &[u8]) -> State {
    match line {
        marker::OUTPUT_START => State::Output,
        marker::ERROR => State::Error(Vec::new()),
        _ => State::Waiting,
    }
}

fn error(mut text: Vec<u8>, line: &[u8], events: &mut Vec<Event>) -> State {
    if line != marker::END {
        if text.len() + line.len() < MAX_ERROR {
            text.extend(line);
            text.push(b'\n');
        }
        return State::Error(text);
    }
    let text = String::from_utf8_lossy(&text).trim_end().to_owned();
    let text = if text.is_empty() { "it does not say why".to_owned() } else { text };
    events.push(Event::Refused(text));
    State::Over
}

/// How many bytes at the end of an unfinished line may belong to the end marker,
/// or to the newline.
fn kept(line: &[u8]) -> usize {
    if let Some(part) = marker::torn(line, marker::OUTPUT_END) {
        let start = part - marker::beginning(&line[..part], marker::OUTPUT_END);
        if line.len() - start <= MAX_LINE {
            return line.len() - start;
        }
    }
    let (text, newline) = match line.split_last() {
        Some((b'\r', text)) => (text, 1),
        _ => (line, 0),
    };
    match marker::beginning(text, marker::OUTPUT_END) {
        part if newline == 0 || part == marker::OUTPUT_END.len() => part + newline,
        _ => newline,
    }
}

#[cfg(test)]
mod tests;
