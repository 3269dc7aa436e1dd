//! Clients that look at the guest: what they have asked it, and the kernel log that
//! they are shown.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use vxn_proto::{Answer, Query, SendWindow, StreamKind};

use super::super::console;
use super::super::control::{ClientId, Clients, ToClient};
use super::super::report::Report;
use super::super::store::Containers;
use super::{Attendance, Error};

/// How long a guest may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Questions that may wait for an answer.
const MAX_QUESTIONS: usize = 64;

/// Everybody who looks.
#[derive(Debug, Default)]
pub struct Looks {
    /// In the order in which the guest was asked, which is that of its answers.
    questions: VecDeque<Question>,
    consoles: BTreeMap<ClientId, Watcher>,
}

#[derive(Debug)]
struct Question {
    /// Who wants to know; `None` once they were told that it takes too long.
    client: Option<ClientId>,
    until: Instant,
}

/// Somebody who is shown the kernel log.
#[derive(Debug)]
struct Watcher {
    window: SendWindow,
    /// What does not fit into the window. The guest waits for nobody here, so of
    /// more than is kept, the oldest goes.
    pending: VecDeque<u8>,
}

impl Watcher {
    fn push(&mut self, client: ClientId, bytes: &[u8], clients: &mut Clients) {
        self.pending.extend(bytes);
        let excess = self.pending.len().saturating_sub(console::KEPT);
        self.pending.drain(..excess);
        let taken = self.window.take(self.pending.len());
        let bytes: Vec<u8> = self.pending.drain(..taken).collect();
        if !bytes.is_empty() {
            clients.output(client, StreamKind::Stdout, &bytes);
        }
    }
}

impl Looks {
    /// When the first question has waited long enough.
    pub fn until(&self) -> Option<Instant> {
        self.questions.iter().filter(|q| q.client.is_some()).map(|q| q.until).min()
    }

    /// Whether a client is shown the kernel log.
    pub fn watches(&self, client: ClientId) -> bool {
        self.consoles.contains_key(&client)
    }

    /// A client that is gone.
    pub fn forget(&mut self, client: ClientId) {
        self.consoles.remove(&client);
        for question in self.questions.iter_mut().filter(|q| q.client == Some(client)) {
            question.client = None;
        }
    }

    /// A client that watches has taken so many bytes; false if it does not watch.
    pub fn taken(&mut self, client: ClientId, bytes: u32) -> bool {
        let Some(watcher) = self.consoles.get_mut(&client) else { return false };
        if watcher.window.credit(bytes).is_err() {
            tracing::warn!("a client has taken more of the console than there was");
        }
        true
    }
}

impl Attendance<'_> {
    /// Asks the guest for a client.
    pub(super) fn query(&mut self, client: ClientId, query: Query) -> Result<(), Error> {
        if let Some(why) = self.hindrance() {
            self.refuse(client, why);
            return Ok(());
        }
        if self.looks.questions.len() >= MAX_QUESTIONS {
            self.refuse(client, "the guest was asked too much already, and does not answer");
            return Ok(());
        }
        let until = Instant::now() + PATIENCE;
        self.looks.questions.push_back(Question { client: Some(client), until });
        Ok(self.session.query(query)?)
    }

    /// Hands the guest's answer on.
    pub(super) fn answered(&mut self, answer: Answer) {
        if let Some(client) = self.looks.questions.pop_front().and_then(|q| q.client) {
            self.desk.clients.tell(client, &ToClient::Answer(answer));
        }
    }

    /// Gives up on what the guest should have answered by now.
    pub(super) fn overdue_answers(&mut self, now: Instant) {
        let late = self.looks.questions.iter_mut().filter(|question| question.until <= now);
        for client in late.filter_map(|question| question.client.take()).collect::<Vec<_>>() {
            let seconds = PATIENCE.as_secs();
            self.refuse(client, &format!("the guest did not answer within {seconds} seconds"));
        }
    }

    /// Shows a client what is kept of the kernel log, with `follow` what comes as well.
    /// What is kept fits into a window.
    pub(super) fn show_console(&mut self, client: ClientId, follow: bool) {
        let mut watcher = Watcher { window: SendWindow::new(), pending: VecDeque::new() };
        watcher.push(client, &self.console.kept(), &mut self.desk.clients);
        if follow {
            self.looks.consoles.insert(client, watcher);
        } else {
            self.desk.clients.tell(client, &ToClient::Ended(Report::exited(0)));
        }
    }

    /// Takes what the guest's kernel has said.
    pub(super) fn read_console(&mut self) {
        let bytes = self.console.drain();
        self.push_to_all(&bytes);
    }

    fn push_to_all(&mut self, bytes: &[u8]) {
        for (&client, watcher) in &mut self.looks.consoles {
            watcher.push(client, bytes, &mut self.desk.clients);
        }
    }

    /// A client can take more.
    pub(super) fn push_console(&mut self, client: ClientId) {
        if let Some(watcher) = self.looks.consoles.get_mut(&client) {
            watcher.push(client, &[], &mut self.desk.clients);
        }
    }

    /// A signal ends a look at the console.
    pub(super) fn end_console(&mut self, client: ClientId, signal: u8) {
        self.looks.forget(client);
        let report = Report::exited(128_u8.saturating_add(signal));
        self.desk.clients.tell(client, &ToClient::Ended(report));
    }

    /// The DomU is about to go: shows and keeps the end of the kernel log, and returns
    /// the last lines of it if they may explain a `puzzling` end.
    pub(super) fn close_console(&mut self, puzzling: bool) -> Vec<String> {
        let bytes = if puzzling { self.console.last_words() } else { self.console.drain() };
        self.push_to_all(&bytes);
        for client in std::mem::take(&mut self.looks.consoles).into_keys() {
            self.desk.clients.tell(client, &ToClient::Ended(Report::exited(0)));
        }
        let definition = &self.plan.definition;
        if !definition.remove {
            let home = Containers::new(&self.plan.root).home(&definition.id);
            if let Err(e) = console::keep(&home, &self.console.kept()) {
                tracing::warn!("the guest's kernel log is lost: {e}");
            }
        }
        if puzzling { self.console.last_lines() } else { Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_watcher_misses_the_oldest_and_is_bounded() {
        let dir = tempfile::tempdir().unwrap();
        let mut clients = Clients::listen(&dir.path().join("s")).unwrap();
        let (ours, _theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        let client = clients.adopt(ours).unwrap();
        let mut looks = Looks::default();
        let watcher = Watcher { window: SendWindow::new(), pending: VecDeque::new() };
        looks.consoles.insert(client, watcher);
        for n in 0..200_u8 {
            let watcher = looks.consoles.get_mut(&client).unwrap();
            watcher.push(client, &[n; 8192], &mut clients);
            assert!(watcher.pending.len() <= console::KEPT);
        }
        let watcher = &looks.consoles[&client];
        assert_eq!((watcher.window.available(), watcher.pending.back()), (0, Some(&199)));
        assert!(looks.taken(client, 100));
        assert!(looks.watches(client));
        looks.forget(client);
        assert!(!looks.watches(client) && !looks.taken(client, 1));
    }
}
