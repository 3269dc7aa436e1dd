//! Signals sent to xtask: they end it, or are passed on to a command in Dom0.

use std::process;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;

use anyhow::Result;
use nix::sys::signal::{SigSet, Signal};

/// Those that a user or a program sends to a command it has started.
const FORWARDED: [Signal; 6] = [
    Signal::SIGHUP,
    Signal::SIGINT,
    Signal::SIGQUIT,
    Signal::SIGTERM,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
];

/// Receives the signals of this process.
#[derive(Debug, Clone, Default)]
pub struct Signals {
    receiver: Arc<Mutex<Option<mpsc::Sender<Signal>>>>,
}

impl Signals {
    /// Takes over the signals. To be called before any other thread is started,
    /// as those inherit the blocked signals.
    pub fn take_over() -> Result<Self> {
        let set: SigSet = FORWARDED.into_iter().collect();
        set.thread_block()?;
        let signals = Self::default();
        let this = signals.clone();
        thread::Builder::new().name("signals".to_owned()).spawn(move || {
            while let Ok(signal) = set.wait() {
                match &*this.lock() {
                    // Fails only when the command has ended: so does this process.
                    Some(receiver) => drop(receiver.send(signal)),
                    None => process::exit(128 + signal as i32),
                }
            }
        })?;
        Ok(signals)
    }

    /// From now on signals come out of the returned end and do not end this process.
    pub fn receive(&self) -> mpsc::Receiver<Signal> {
        let (sender, receiver) = mpsc::channel();
        *self.lock() = Some(sender);
        receiver
    }

    /// From now on signals end this process again.
    pub fn stop(&self) {
        *self.lock() = None;
    }

    fn lock(&self) -> MutexGuard<'_, Option<mpsc::Sender<Signal>>> {
        self.receiver.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
