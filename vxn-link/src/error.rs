//! What a caller says when a request failed.

use std::io;

/// The kernel refused something about a network device.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} network device {name}: {source}")]
pub struct LinkError {
    action: &'static str,
    name: String,
    source: io::Error,
}

impl LinkError {
    /// For `map_err`: what was tried, an infinitive, and on which device.
    pub fn of<'a>(
        action: &'static str,
        name: &'a str,
    ) -> impl Fn(io::Error) -> LinkError + use<'a> {
        move |source| LinkError { action, name: name.to_owned(), source }
    }

    /// What the kernel said (`errno`).
    pub fn errno(&self) -> Option<i32> {
        self.source.raw_os_error()
    }
}
