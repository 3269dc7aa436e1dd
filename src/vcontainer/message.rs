//! What a verb asks a DomU's monitor, and what that answers.

use std::net::IpAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::libxl::DomId;

/// A question, or something to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Request {
    /// Does the guest answer?
    Ping,
    /// How is the container's process?
    Status,
    /// Run a command in the guest.
    Send {
        /// For the guest's shell.
        command: String,
    },
    /// Run a container.
    Run {
        /// For a shell in the container; empty: the image's own command.
        command: String,
        /// The disk with the container, attached for as long as it runs.
        disk: Option<PathBuf>,
    },
    /// Lead ports of this host to the guest.
    Forward {
        /// As docker writes them: `[ip:]host:guest[/tcp|udp]`.
        ports: Vec<String>,
    },
    /// Take them back.
    Unforward,
    /// What the monitor knows.
    Info,
    /// Ask the guest to power off.
    Shutdown {
        /// Not while a command runs.
        when_idle: bool,
    },
    /// Ask the guest's kernel to power off, in case its init does not listen.
    PowerOff,
    /// Destroy the DomU.
    Destroy,
}

/// One of the answers to a request: any number of [`Answer::Output`], and one other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// Output of the command.
    Output(Vec<u8>),
    /// Done: the command's exit code, or 0.
    Done(u8),
    /// The container's process runs, or ended with this code.
    Status(Option<u8>),
    /// The ports of this host that lead to the guest now, as docker lists them.
    Forwards(Vec<String>),
    /// What the monitor knows.
    Info(Info),
    /// It did not work; why.
    Failed(String),
}

/// A DomU and its monitor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Info {
    /// Its number.
    pub domid: DomId,
    /// The process id of the monitor: alive as long as the DomU.
    pub pid: u32,
    /// The terminal that is the DomU's console.
    pub tty: PathBuf,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
    /// Whether a command runs.
    pub busy: bool,
}
