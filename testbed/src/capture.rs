//! The bytes that come out of a pipe, collected while others look at them.

use std::io::Read;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;

/// All that came out of a pipe so far. Clones see the same bytes.
#[derive(Debug, Clone, Default)]
pub struct Capture {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    bytes: Vec<u8>,
    /// A thread reads the pipe and has not come to its end.
    open: bool,
}

impl Capture {
    /// Reads `pipe` to its end, on a thread.
    pub fn start(mut pipe: impl Read + Send + 'static) -> Self {
        let capture = Self::default();
        capture.lock().open = true;
        let reader = capture.clone();
        thread::spawn(move || {
            let mut buffer = vec![0; 64 * 1024];
            loop {
                // A pty whose other side is closed reads as an error.
                let count = pipe.read(&mut buffer).unwrap_or(0);
                let mut state = reader.lock();
                state.bytes.extend_from_slice(&buffer[..count]);
                state.open = count > 0;
                reader.shared.changed.notify_all();
                if count == 0 {
                    return;
                }
            }
        });
        capture
    }

    /// What has come so far.
    pub fn bytes(&self) -> Vec<u8> {
        self.lock().bytes.clone()
    }

    /// Waits until the pipe is at its end; whether it is by `deadline`.
    pub fn wait_end(&self, deadline: Instant) -> bool {
        self.wait(deadline, |state| !state.open)
    }

    /// Waits until `text` has come; whether it has by `deadline` or the end.
    pub fn wait_for(&self, text: &[u8], deadline: Instant) -> bool {
        let found = |state: &State| state.bytes.windows(text.len()).any(|bytes| bytes == text);
        self.wait(deadline, |state| !state.open || found(state));
        found(&self.lock())
    }

    fn wait(&self, deadline: Instant, until: impl Fn(&State) -> bool) -> bool {
        let left = deadline.saturating_duration_since(Instant::now());
        let waited =
            self.shared.changed.wait_timeout_while(self.lock(), left, |state| !until(state));
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        until(&state)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
