//! One question to the guest and its answer, as bytes in and bytes out. No I/O.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::marker;
use super::reply::{self, Reply};

/// The longest line that a terminal in canonical mode hands on, newline included
/// (Linux, `N_TTY_BUF_SIZE`). The guest would lose the rest without a word.
const MAX_LINE: usize = 4096;

/// Why a command cannot be sent.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Unsendable {
    /// The guest's terminal would cut it.
    #[error("the command has {length} bytes; the console of these guests takes {longest}")]
    TooLong {
        /// Its length.
        length: usize,
        /// The most that goes through.
        longest: usize,
    },
    /// The guest logs commands on the console that carries the replies.
    #[error("the command has a line that is a marker of the protocol: {0}")]
    Marker(String),
    /// The guest would take an empty line for none at all.
    #[error("the command is empty")]
    Empty,
}

/// A line for the guest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line(Vec<u8>);

impl Line {
    /// A command for the guest's shell.
    pub fn command(command: &[u8]) -> Result<Line, Unsendable> {
        if command.is_empty() {
            return Err(Unsendable::Empty);
        }
        Line::new(b"", command)
    }

    /// A command for the container on the input disk; none: the image's own.
    pub fn container(command: &[u8]) -> Result<Line, Unsendable> {
        Line::new(marker::RUN_CONTAINER, command)
    }

    fn new(before: &[u8], command: &[u8]) -> Result<Line, Unsendable> {
        let lines = command.split(|&b| b == b'\n');
        if let Some(line) = lines.into_iter().find(|l| is_marker(l)) {
            return Err(Unsendable::Marker(String::from_utf8_lossy(line).into_owned()));
        }
        let longest = (MAX_LINE - 1 - before.len()) / 4 * 3;
        if command.len() > longest {
            return Err(Unsendable::TooLong { length: command.len(), longest });
        }
        Ok(Line([before, STANDARD.encode(command).as_bytes(), b"\n"].concat()))
    }
}

fn is_marker(line: &[u8]) -> bool {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    [marker::OUTPUT_START, marker::ERROR].contains(&line)
}

/// What comes of the console's bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// To be written to the console.
    Send(Vec<u8>),
    /// Output of the command.
    Output(Vec<u8>),
    /// The end: the exit code, or 0 for questions without one.
    Finished(u8),
    /// The container's process runs, or has ended so.
    Status(Option<u8>),
    /// The guest could not do it.
    Refused(String),
}

/// One question and answer.
#[derive(Debug)]
pub struct Exchange {
    question: Question,
    phase: Phase,
    line: Vec<u8>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Question {
    Ping,
    Status,
    Command(Line),
}

#[derive(Debug)]
enum Phase {
    /// The guest has been asked whether it is there.
    Greeting,
    Status,
    Command(Reply),
    Over,
}

/// Longer lines are no answers.
const MAX_ANSWER: usize = 256;

impl Exchange {
    /// Asks whether the guest answers.
    pub fn ping() -> Exchange {
        Exchange::new(Question::Ping)
    }

    /// Asks how the container's process is.
    pub fn status() -> Exchange {
        Exchange::new(Question::Status)
    }

    /// Has the guest run something.
    pub fn command(line: Line) -> Exchange {
        Exchange::new(Question::Command(line))
    }

    fn new(question: Question) -> Exchange {
        Exchange { question, phase: Phase::Greeting, line: Vec::new() }
    }

    /// What every question starts with: a guest that does not answer this will
    /// answer nothing, and what it printed before belongs to nobody.
    pub fn greeting() -> Vec<u8> {
        [marker::PING, b"\n"].concat()
    }

    /// Whether the guest still owes the first sign of life.
    pub fn is_greeting(&self) -> bool {
        matches!(self.phase, Phase::Greeting | Phase::Status)
    }

    /// Takes the next bytes of the console.
    pub fn feed(&mut self, bytes: &[u8], events: &mut Vec<Event>) {
        for piece in bytes.split_inclusive(|&b| b == b'\n') {
            match &mut self.phase {
                Phase::Command(reply) => {
                    let mut found = Vec::new();
                    reply.feed(piece, &mut found);
                    let over = reply.is_over();
                    events.extend(found.into_iter().map(Event::from));
                    if over {
                        self.phase = Phase::Over;
                    }
                }
                Phase::Over => return,
                Phase::Greeting | Phase::Status => {
                    self.line.extend(piece);
                    if piece.ends_with(b"\n") {
                        let line = std::mem::take(&mut self.line);
                        self.answer(line.trim_ascii_end(), events);
                    } else {
                        self.line.truncate(MAX_ANSWER);
                    }
                }
            }
        }
    }

    fn answer(&mut self, line: &[u8], events: &mut Vec<Event>) {
        match self.phase {
            Phase::Greeting if line.ends_with(marker::PONG) => {}
            Phase::Status => {
                let exited = marker::exited(line);
                if exited.is_some() || line == marker::RUNNING {
                    events.push(Event::Status(exited));
                    self.phase = Phase::Over;
                }
                return;
            }
            _ => return,
        }
        self.phase = match &self.question {
            Question::Ping => {
                events.push(Event::Finished(0));
                Phase::Over
            }
            Question::Status => {
                events.push(Event::Send([marker::STATUS, b"\n"].concat()));
                Phase::Status
            }
            Question::Command(line) => {
                events.push(Event::Send(line.0.clone()));
                Phase::Command(Reply::default())
            }
        };
    }
}

impl From<reply::Event> for Event {
    fn from(event: reply::Event) -> Event {
        match event {
            reply::Event::Output(bytes) => Event::Output(bytes),
            reply::Event::Candidate => Event::Send(Exchange::greeting()),
            reply::Event::Finished(code) => Event::Finished(code),
            reply::Event::Refused(why) => Event::Refused(why),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_guest_would_garble_is_not_sent() {
        assert_eq!(Line::command(b"echo hi").unwrap().0, b"ZWNobyBoaQ==\n");
        assert_eq!(Line::container(b"").unwrap().0, b"===RUN_CONTAINER===\n");
        assert_eq!(Line::command(b""), Err(Unsendable::Empty));
        let longest = Line::command(&[b'x'; 3069]).unwrap();
        assert!(longest.0.len() <= MAX_LINE, "{}", longest.0.len());
        let refused = Err(Unsendable::TooLong { length: 3070, longest: 3069 });
        assert_eq!(Line::command(&[b'x'; 3070]), refused);
        assert!(Line::command(b"cat <<E\n===ERROR===\nE").is_err());
        assert!(Line::command(b"printf '===END===\\n'").is_ok());
    }

    #[test]
    fn a_command_is_sent_when_the_guest_has_answered() {
        let mut exchange = Exchange::command(Line::command(b"x").unwrap());
        let mut events = Vec::new();
        exchange.feed(b"===END===\r\n===OUTPUT_START===\r\nstale\r\n", &mut events);
        assert!(events.is_empty() && exchange.is_greeting());
        exchange.feed(b"===PING===\r\n===PO", &mut events);
        exchange.feed(b"NG===\r\n===OUTPUT_START===\r\nfresh\r\n", &mut events);
        assert_eq!(events, [Event::Send(b"eA==\n".to_vec()), Event::Output(b"fresh\n".to_vec())]);
        let end = b"===OUTPUT_END===\r\n===EXIT_CODE=9===\r\n===END===\r\n===PONG===\r\n";
        exchange.feed(end, &mut events);
        assert_eq!(events[2..], [Event::Send(Exchange::greeting()), Event::Finished(9)]);
    }

    #[test]
    fn a_status_is_running_or_a_code() {
        let ask = |answer: &str| {
            let (mut exchange, mut events) = (Exchange::status(), Vec::new());
            exchange.feed(format!("===PONG===\n{answer}\n").as_bytes(), &mut events);
            events
        };
        let sent = Event::Send(b"===STATUS===\n".to_vec());
        assert_eq!(ask("===RUNNING==="), [sent.clone(), Event::Status(None)]);
        assert_eq!(ask("===EXITED=3==="), [sent.clone(), Event::Status(Some(3))]);
        assert_eq!(ask("===EXITED=300==="), [sent]);
    }
}
