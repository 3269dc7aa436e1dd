//! What a DomU of the backend is to be.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::config::TypeChoice;
use crate::container::plan::{self, Kernel};
use crate::container::{ContainerId, Name};
use crate::libxl::{
    Action, Disk, DomainConfig, GuestType, HostInfo, Nic, Scheduling, Shares, Uuid,
};

/// Everything that the monitor has to know.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Order {
    /// Its entry in the journal.
    pub id: ContainerId,
    /// The name of the DomU.
    pub name: Name,
    /// Its uuid.
    pub uuid: Uuid,
    /// The wanted guest type.
    pub guest_type: TypeChoice,
    /// Memory in KiB.
    pub memory_kib: u64,
    /// Virtual CPUs.
    pub vcpus: u32,
    /// The kernel, unpacked.
    pub kernel: Kernel,
    /// The initial RAM disk.
    pub ramdisk: PathBuf,
    /// What the caller adds to the kernel's command line.
    pub append: String,
    /// Its disks.
    pub disks: Vec<Disk>,
    /// Directories of this host.
    pub shares: Option<Shares>,
    /// The network that it is on.
    pub network: Option<String>,
    /// What libxl runs for disks and network interfaces.
    pub hotplug: PathBuf,
    /// vxn's directory for live state.
    pub run: PathBuf,
    /// Who minds the console.
    pub mode: Mode,
    /// A process with which the DomU ends; none: it ends by itself.
    pub owner: Option<i32>,
}

/// What the DomU's console is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Commands, by way of the monitor. What comes before the guest is ready goes
    /// to the log.
    Daemon {
        /// The log.
        log: PathBuf,
    },
    /// All of it goes to a file.
    Capture {
        /// The file; what is in it stays.
        log: PathBuf,
    },
    /// The caller's terminal.
    Foreground,
}

/// The kernel's command line before what the caller adds.
const COMMAND_LINE: &str = "console=hvc0 quiet loglevel=0 init=/init vcontainer.blk=xvd \
                            vcontainer.init=/vxn-init.sh";

/// The longest command line that reaches the kernel whole, in bytes: a PV guest
/// gets no more than `MAX_GUEST_CMDLINE` of Xen's xen.h with its NUL, and libxl cuts
/// the rest off without a word; Linux on x86 has room for twice as much.
fn longest(guest_type: GuestType) -> usize {
    match guest_type {
        GuestType::Pv => 1023,
        GuestType::Pvh => 2047,
    }
}

/// Why there can be no such DomU.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Error {
    /// The host or the kernel cannot.
    #[error(transparent)]
    Plan(#[from] plan::Error),
    /// The guest's kernel would get a part of it.
    #[error(
        "the kernel's command line, which carries the command, has {length} bytes: \
         more than the {longest} that such a guest gets"
    )]
    CommandLine {
        /// Its length.
        length: usize,
        /// The most that goes through.
        longest: usize,
    },
}

impl Order {
    /// The DomU.
    pub fn domain(&self, host: &HostInfo, nic: Option<Nic>) -> Result<DomainConfig, Error> {
        let guest_type = plan::guest_type(self.guest_type, host, &self.kernel)?;
        let cmdline = format!("{COMMAND_LINE} {}", self.append);
        let (length, longest) = (cmdline.len(), longest(guest_type));
        if length > longest {
            return Err(Error::CommandLine { length, longest });
        }
        Ok(DomainConfig {
            name: self.name.to_string(),
            uuid: self.uuid,
            guest_type,
            memory_kib: self.memory_kib,
            vcpus: self.vcpus,
            scheduling: Scheduling::default(),
            kernel: self.kernel.path.clone(),
            ramdisk: Some(self.ramdisk.clone()),
            cmdline,
            disks: self.disks.clone(),
            nics: nic.into_iter().collect(),
            shares: self.shares.clone(),
            xsdata: vec![("vxn/backend".to_owned(), self.id.to_string())],
            on_poweroff: Action::Destroy,
            on_reboot: Action::Destroy,
            on_crash: Action::Destroy,
        })
    }

    /// A disk that is attached while the DomU runs.
    pub fn disk(&self, path: PathBuf, vdev: &str, writable: bool) -> Disk {
        Disk { path, vdev: vdev.to_owned(), writable, script: Some(self.hotplug.clone()) }
    }
}
