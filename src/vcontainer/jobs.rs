//! Who is next at the console.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::exchange::{Exchange, Line, Unsendable};
use super::message::Request;

/// How long an idle guest may take to answer a PING. The guest's init does
/// nothing else then; a host with many busy DomUs is slow.
const SIGN_OF_LIFE: Duration = Duration::from_secs(15);
/// How long a verb waits that only asks whether there is a guest.
const PING: Duration = Duration::from_secs(5);

/// Names a client.
pub type ClientId = u64;

/// Something to do at the console.
#[derive(Debug)]
pub struct Job {
    /// Who wants to know; none when that one has gone.
    pub client: Option<ClientId>,
    /// The disk to be attached meanwhile.
    pub disk: Option<PathBuf>,
    /// The talk with the guest.
    pub exchange: Exchange,
    patience: Duration,
    until: Option<Instant>,
}

impl Job {
    /// What a request has to do with the console; none if nothing.
    pub fn new(client: ClientId, request: Request) -> Option<Result<Job, Unsendable>> {
        let patience = if request == Request::Ping { PING } else { SIGN_OF_LIFE };
        let (exchange, disk) = match request {
            Request::Ping => (Ok(Exchange::ping()), None),
            Request::Status => (Ok(Exchange::status()), None),
            Request::Send { command } => {
                (Line::command(command.as_bytes()).map(Exchange::command), None)
            }
            Request::Run { command, disk } => {
                (Line::container(command.as_bytes()).map(Exchange::command), disk)
            }
            Request::Forward { .. }
            | Request::Unforward
            | Request::Info
            | Request::Shutdown { .. }
            | Request::PowerOff
            | Request::Destroy => return None,
        };
        let job = |exchange| Job { client: Some(client), disk, exchange, patience, until: None };
        Some(exchange.map(job))
    }

    /// It is its turn.
    pub fn begin(&mut self) {
        self.until = Some(Instant::now() + self.patience);
    }

    /// Until when the guest has to show that it lives, if it has not.
    pub fn deadline(&self) -> Option<Instant> {
        self.until.filter(|_| self.exchange.is_greeting())
    }

    /// Why it has failed when the deadline has passed.
    pub fn silence(&self) -> String {
        format!("the guest does not answer: no ===PONG=== within {} s", self.patience.as_secs())
    }
}

/// Those who wait, and the one whose turn it is.
#[derive(Debug, Default)]
pub struct Jobs {
    waiting: VecDeque<Job>,
    /// Whose turn it is.
    pub current: Option<Job>,
}

impl Jobs {
    /// Queues.
    pub fn push(&mut self, job: Job) {
        self.waiting.push_back(job);
    }

    /// Whether anything is going on or waiting.
    pub fn is_busy(&self) -> bool {
        self.current.is_some() || !self.waiting.is_empty()
    }

    /// Whoever is next, when nobody is at the console.
    pub fn next(&mut self) -> Option<Job> {
        if self.current.is_some() { None } else { self.waiting.pop_front() }
    }

    /// A client has gone. What the guest has begun for it goes on; the console is
    /// free only when that is over.
    pub fn forget(&mut self, client: ClientId) {
        self.waiting.retain(|job| job.client != Some(client));
        if let Some(job) = self.current.as_mut().filter(|job| job.client == Some(client)) {
            job.client = None;
        }
    }

    /// All clients that wait for something.
    pub fn drain(&mut self) -> Vec<Job> {
        self.current.take().into_iter().chain(self.waiting.drain(..)).collect()
    }
}
