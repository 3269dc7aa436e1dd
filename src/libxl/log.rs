//! What libxl says: events for `tracing`, and the error lines kept for the error
//! that the caller sees.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use xen_sys::{Level, Logger, Message};

/// How many error lines of one operation are kept. The first ones name the cause.
const KEPT: usize = 8;

/// The error lines since the last operation began.
#[derive(Clone, Debug, Default)]
pub struct Lines(Arc<Mutex<Vec<String>>>);

impl Lines {
    /// A logger that fills these lines.
    pub fn logger(&self) -> io::Result<Logger> {
        let lines = self.clone();
        Logger::new(move |message| lines.log(message))
    }

    /// The lines so far; none afterwards.
    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn log(&self, message: &Message<'_>) {
        match message.level {
            Level::Trace => tracing::trace!(target: "libxl", "{message}"),
            Level::Debug => tracing::debug!(target: "libxl", "{message}"),
            Level::Info => tracing::info!(target: "libxl", "{message}"),
            Level::Warn => tracing::warn!(target: "libxl", "{message}"),
            Level::Error => {
                tracing::error!(target: "libxl", "{message}");
                self.keep(message);
            }
        }
    }

    fn keep(&self, message: &Message<'_>) {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() < KEPT {
            let line = Message { context: None, ..*message }.to_string();
            lines.push(without_place(&line).to_owned());
        }
    }
}

/// Cuts off where in the source a line was logged: `libxl_x.c:12:function: `, and
/// `panic: xg_x.c:12: ` as libxenguest has it.
fn without_place(line: &str) -> &str {
    match line.strip_prefix("panic: ").unwrap_or(line).split_once(": ") {
        Some((place, rest)) if place.contains(".c:") && !place.contains(' ') => rest,
        _ => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_lose_their_place_in_the_source() {
        let line = "libxl_device.c:1180:device_backend_callback: Domain 3:unable to add device";
        assert_eq!(without_place(line), "Domain 3:unable to add device");
        assert_eq!(without_place("panic: xg_dom_core.c:205: no such file"), "no such file");
        assert_eq!(without_place("a.c: b"), "a.c: b");
        assert_eq!(without_place("see libxl.c:1: b"), "see libxl.c:1: b");
    }

    #[test]
    fn the_first_lines_are_kept() {
        let lines = Lines::default();
        for i in 0..KEPT + 3 {
            let text = std::ffi::CString::new(format!("line {i}")).expect("no NUL");
            lines.log(&Message {
                level: Level::Error,
                errno: (i == 0).then_some(libc::ENOENT),
                context: Some(c"libxl"),
                text: &text,
            });
        }
        let kept = lines.take();
        assert_eq!(kept.len(), KEPT);
        assert_eq!(kept[0], "line 0: No such file or directory (os error 2)");
        assert!(lines.take().is_empty());
    }
}
