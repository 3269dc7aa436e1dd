//! How a run ended, as the monitor tells the front.

use std::io::{self, Read, Write};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// docker's code for "the engine failed".
pub const ENGINE_FAILED: u8 = 125;
/// The code of a shell for "found, but cannot be executed".
pub const NOT_EXECUTABLE: u8 = 126;
/// The code of a shell for "not found".
pub const NOT_FOUND: u8 = 127;
/// 128 + SIGKILL.
pub const KILLED: u8 = 137;

/// The end of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Exit code for the caller.
    pub code: u8,
    /// What went wrong, if something did, in one line.
    pub error: Option<String>,
    /// What to do about it.
    pub hint: Option<String>,
    /// The guest has killed a process for want of memory.
    #[serde(default)]
    pub oom_killed: bool,
    /// The DomU's last console lines, when they may explain it.
    pub console: Vec<String>,
}

impl Report {
    /// The process's own exit code.
    pub fn exited(code: u8) -> Report {
        Report { code, error: None, hint: None, oom_killed: false, console: Vec::new() }
    }

    /// A failure.
    pub fn failed(code: u8, error: impl Into<String>) -> Report {
        Report { error: Some(error.into()), ..Report::exited(code) }
    }

    /// Adds a hint.
    pub fn with_hint(mut self, hint: Option<impl Into<String>>) -> Report {
        self.hint = hint.map(Into::into);
        self
    }
}

/// Most bytes of a message between front and monitor: a plan with the two MiB
/// of arguments that execve(2) takes, as JSON numbers.
const MAX_MESSAGE: u32 = 64 << 20;

/// Writes one message: its length as `u32` little endian, then JSON.
pub fn send<T: Serialize>(to: &mut impl Write, message: &T) -> io::Result<()> {
    let body = serde_json::to_vec(message)?;
    let length = u32::try_from(body.len()).ok().filter(|&n| n <= MAX_MESSAGE);
    let length = length.ok_or_else(|| io::Error::other("message too long"))?;
    to.write_all(&length.to_le_bytes())?;
    to.write_all(&body)
}

/// Reads one message.
pub fn receive<T: DeserializeOwned>(from: &mut impl Read) -> io::Result<T> {
    let mut length = [0; 4];
    from.read_exact(&mut length)?;
    let length = u32::from_le_bytes(length);
    if length > MAX_MESSAGE {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut body = Vec::new();
    from.take(u64::from(length)).read_to_end(&mut body)?;
    Ok(serde_json::from_slice(&body)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_read_as_written() {
        let report = Report::failed(ENGINE_FAILED, "no").with_hint(Some("yes"));
        let mut wire = Vec::new();
        send(&mut wire, &report).unwrap();
        assert_eq!(receive::<Report>(&mut wire.as_slice()).unwrap(), report);
        assert!(receive::<Report>(&mut &wire[..wire.len() - 1]).is_err());
        assert!(receive::<Report>(&mut [255; 8].as_slice()).is_err());
    }
}
