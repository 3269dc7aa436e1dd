//! One output of the main process, and everybody who is to have it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use vxn_proto::{StreamKind, WINDOW};

use super::super::control::{ClientId, Clients};
use super::super::streams::Output;

/// How long a client that watches may take no output while there is some: the
/// guest waits for it meanwhile, but not for good.
const SLOW: Duration = Duration::from_secs(10);

/// An output: what has come, what was taken, by whom.
#[derive(Debug)]
pub struct Outlet {
    kind: StreamKind,
    /// Bytes that have come.
    received: u64,
    /// Bytes that everybody has taken.
    consumed: u64,
    local: Option<Local>,
    watchers: BTreeMap<ClientId, Watcher>,
    ended: bool,
}

/// The stream that the monitor has inherited from the user.
#[derive(Debug)]
struct Local {
    output: Output,
    taken: u64,
    finished: bool,
}

#[derive(Debug)]
struct Watcher {
    taken: u64,
    /// When it has last taken something, or had little to take.
    moved: Instant,
    /// It may take its time.
    patient: bool,
}

impl Watcher {
    /// Whether there is more for it than it may keep to itself that it has taken.
    fn lags(&self, received: u64) -> bool {
        received - self.taken >= u64::from(WINDOW / 2)
    }
}

impl Outlet {
    /// An output that goes to `local`, if to anybody.
    pub fn new(kind: StreamKind, local: Option<Output>) -> Outlet {
        let local = local.map(|output| Local { output, taken: 0, finished: false });
        let watchers = BTreeMap::new();
        Outlet { kind, received: 0, consumed: 0, local, watchers, ended: false }
    }

    /// A client that gets what comes from now on. With `patient` it is the user
    /// who has started the container: the guest waits for it as long as it takes.
    pub fn watch(&mut self, client: ClientId, patient: bool, clients: &mut Clients) {
        let watcher = Watcher { taken: self.received, moved: Instant::now(), patient };
        self.watchers.insert(client, watcher);
        if self.ended {
            clients.output_end(client, self.kind);
        }
    }

    /// A client that is gone.
    pub fn forget(&mut self, client: ClientId) {
        self.watchers.remove(&client);
    }

    /// Bytes that have come.
    pub fn put(&mut self, bytes: Vec<u8>, clients: &mut Clients) {
        let now = Instant::now();
        for (&client, watcher) in &mut self.watchers {
            if !watcher.lags(self.received) {
                watcher.moved = now;
            }
            clients.output(client, self.kind, &bytes);
        }
        self.received += bytes.len() as u64;
        if let Some(local) = &mut self.local {
            local.output.write(bytes);
        }
    }

    /// Nothing more will come.
    pub fn end(&mut self, clients: &mut Clients) {
        self.ended = true;
        if let Some(local) = &mut self.local {
            local.output.finish();
        }
        for &client in self.watchers.keys() {
            clients.output_end(client, self.kind);
        }
    }

    /// The inherited stream has taken so many bytes.
    pub fn written(&mut self, bytes: usize) {
        if let Some(local) = &mut self.local {
            local.taken += bytes as u64;
        }
    }

    /// The inherited stream has taken everything.
    pub fn finished(&mut self) {
        if let Some(local) = &mut self.local {
            local.finished = true;
        }
    }

    /// A client has taken so many bytes.
    pub fn taken(&mut self, client: ClientId, bytes: u32) {
        if let Some(watcher) = self.watchers.get_mut(&client) {
            watcher.taken = (watcher.taken + u64::from(bytes)).min(self.received);
            watcher.moved = Instant::now();
        }
    }

    /// Bytes that have been taken by everybody since this was last asked.
    pub fn settle(&mut self) -> usize {
        let local = self.local.iter().map(|local| local.taken);
        let all = local.chain(self.watchers.values().map(|watcher| watcher.taken));
        let settled = all.min().unwrap_or(self.received);
        let news = settled.saturating_sub(self.consumed);
        self.consumed += news;
        news as usize
    }

    /// Whether the inherited stream has everything, and nothing more will come.
    pub fn is_over(&self) -> bool {
        self.ended && self.local.as_ref().is_none_or(|local| local.finished)
    }

    /// When the first of the clients that lag behind has had its time.
    pub fn patience_ends(&self) -> Option<Instant> {
        self.laggards().map(|(_, watcher)| watcher.moved + SLOW).min()
    }

    /// The clients that have had their time.
    pub fn too_slow(&self, now: Instant) -> Vec<ClientId> {
        let late = self.laggards().filter(|(_, watcher)| watcher.moved + SLOW <= now);
        late.map(|(&client, _)| client).collect()
    }

    fn laggards(&self) -> impl Iterator<Item = (&ClientId, &Watcher)> {
        self.watchers.iter().filter(|(_, w)| !w.patient && w.lags(self.received))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clients() -> (tempfile::TempDir, Clients, [ClientId; 2]) {
        let dir = tempfile::tempdir().unwrap();
        let mut clients = Clients::listen(&dir.path().join("s")).unwrap();
        let ids = [(); 2].map(|()| {
            let (ours, _) = std::os::unix::net::UnixStream::pair().unwrap();
            clients.adopt(ours).unwrap()
        });
        (dir, clients, ids)
    }

    #[test]
    fn the_slowest_decides_what_is_settled() {
        let (_dir, mut clients, [a, b]) = clients();
        let mut outlet = Outlet::new(StreamKind::Stdout, None);
        outlet.put(vec![0; 10], &mut clients);
        assert_eq!(outlet.settle(), 10, "nobody watches");
        outlet.watch(a, false, &mut clients);
        outlet.watch(b, false, &mut clients);
        outlet.put(vec![0; 100], &mut clients);
        outlet.taken(a, 60);
        assert_eq!(outlet.settle(), 0);
        outlet.taken(b, 50);
        assert_eq!((outlet.settle(), outlet.settle()), (50, 0));
        outlet.taken(b, 1000);
        assert_eq!(outlet.settle(), 10, "more than there was");
        outlet.forget(a);
        assert_eq!(outlet.settle(), 40);
    }

    #[test]
    fn only_the_impatient_are_given_up() {
        let (_dir, mut clients, [a, b]) = clients();
        let mut outlet = Outlet::new(StreamKind::Stdout, None);
        outlet.watch(a, true, &mut clients);
        outlet.watch(b, false, &mut clients);
        outlet.put(vec![0; 10], &mut clients);
        assert_eq!(outlet.patience_ends(), None, "it may just not have said so");
        outlet.put(vec![0; WINDOW as usize / 2], &mut clients);
        let ends = outlet.patience_ends().unwrap();
        assert!(outlet.too_slow(Instant::now()).is_empty());
        assert_eq!(outlet.too_slow(ends), [b]);
        outlet.taken(b, WINDOW / 2);
        assert_eq!(outlet.patience_ends(), None);
    }
}
