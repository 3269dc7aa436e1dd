//! What the verbs for containers have in common.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::thread;

use anyhow::{Context, anyhow};
use vxn_proto::{Answer, Query};

use super::failure::{Failure, Hint};
use crate::config::Settings;
use crate::container::condition::Condition;
use crate::container::control::{self, Connection, ToClient, ToMonitor};
use crate::container::definition::Definition;
use crate::container::journal::{self, Entry, Journal};
use crate::container::report::Report;
use crate::container::store::Containers;

/// Refuses to go on without root, in the words of `verb`.
pub fn need_root(verb: &str) -> anyhow::Result<()> {
    if nix::unistd::geteuid().is_root() {
        return Ok(());
    }
    Err(anyhow!("vxn {verb} needs root, as everything that talks to Xen does"))
        .context(Hint(format!("sudo vxn {verb} …")))
}

/// The containers of this host, alive or not.
#[derive(Debug, Clone)]
pub struct Engine {
    /// Where they are kept.
    pub store: Containers,
    /// Where their monitors are.
    pub run: PathBuf,
}

impl Engine {
    /// The engine of these settings, for root.
    pub fn new(verb: &str, settings: &Settings) -> anyhow::Result<Engine> {
        need_root(verb)?;
        let store = Containers::new(&settings.root.value);
        Ok(Engine { store, run: settings.run.value.clone() })
    }

    /// How a container is.
    pub fn condition(&self, definition: &Definition) -> anyhow::Result<Condition> {
        Ok(self.store.condition(&definition.id, &self.run)?)
    }

    /// The directory that a container's monitor has while it lives.
    pub fn live(&self, definition: &Definition) -> PathBuf {
        self.run.join("containers").join(definition.id.as_str())
    }

    /// A connection to a container's monitor.
    pub fn connect(&self, definition: &Definition) -> anyhow::Result<Connection> {
        let connection = Connection::open(&self.live(definition));
        connection.with_context(|| format!("container {}", definition.name))
    }

    /// Takes a container that does not run for oneself.
    pub fn take(&self, definition: &Definition) -> Result<Entry, journal::Error> {
        Journal::open(&self.run)?.take(&definition.id)
    }

    /// Asks a container's monitor for something that is done at once.
    pub fn ask(&self, definition: &Definition, message: &ToMonitor) -> anyhow::Result<()> {
        let mut connection = self.connect(definition)?;
        let done = match connection.ask(message) {
            // It ended before it heard of this.
            Ok(ToClient::Ended(_)) => Err(control::Error::NotRunning),
            answer => answer.map(drop),
        };
        done.with_context(|| format!("container {}", definition.name))
    }

    /// Asks the guest of a container that runs.
    pub fn query(&self, definition: &Definition, query: Query) -> anyhow::Result<Answer> {
        let mut connection = self.connect(definition)?;
        let answer = match connection.ask(&ToMonitor::Query(query)) {
            Ok(ToClient::Answer(answer)) => Ok(answer),
            Ok(ToClient::Ended(_)) => Err(control::Error::NotRunning),
            Ok(_) => Err(control::Error::Protocol),
            Err(e) => Err(e),
        };
        answer.with_context(|| format!("container {}", definition.name))
    }

    /// Asks for something that is done when the container has ended; `None` when
    /// it had ended before it could be asked.
    pub fn ask_to_the_end(
        &self,
        definition: &Definition,
        message: &ToMonitor,
    ) -> anyhow::Result<Option<Report>> {
        let connection = Connection::open(&self.live(definition));
        match connection.and_then(|mut connection| connection.ask(message)) {
            Ok(ToClient::Ended(report)) => Ok(Some(report)),
            Ok(other) => Err(anyhow!("container {}: {other:?} is no end", definition.name)),
            Err(control::Error::NotRunning) => Ok(None),
            Err(e) => Err(e).with_context(|| format!("container {}", definition.name)),
        }
    }

    /// Does something with each of the containers `words`, all at the same time,
    /// and prints what comes of it in their order. Returns docker's exit code.
    pub fn each(
        &self,
        words: &[String],
        act: impl Fn(&Engine, Definition) -> anyhow::Result<String> + Sync,
    ) -> anyhow::Result<ExitCode> {
        let one = |word: &String| {
            act(self, self.store.find(word)?)
                .map(|line| if line.is_empty() { word.clone() } else { line })
        };
        let results: Vec<anyhow::Result<String>> = thread::scope(|scope| {
            let one = &one;
            let threads: Vec<_> = words.iter().map(|word| scope.spawn(move || one(word))).collect();
            let join = |thread: thread::ScopedJoinHandle<'_, _>| {
                thread.join().unwrap_or_else(|_| Err(anyhow!("a thread panicked")))
            };
            threads.into_iter().map(join).collect()
        });
        let mut code = ExitCode::SUCCESS;
        for result in results {
            match result {
                Ok(line) => writeln!(io::stdout(), "{line}")?,
                Err(e) => code = Failure::from(e).print(1),
            }
        }
        Ok(code)
    }
}

/// The containers that a verb is about.
#[derive(Debug, clap::Args)]
pub struct Names {
    /// Names or ids.
    #[arg(required = true, value_name = "CONTAINER")]
    pub containers: Vec<String>,
}
