//! What a container is: everything that outlives its DomU, as it is kept on disk.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use vxn_proto::{Limits, Privileges, ProcessSpec, Tmpfs, WindowSize};

use super::cpu::Cpu;
use super::devices::Device;
use super::health::HealthCheck;
use super::log::LogOptions;
use super::mounts::Mount;
use super::network::NetworkSpec;
use super::plan::RootDisk;
use super::restart::RestartPolicy;
use super::write_back::WriteBack;
use super::{ContainerId, Name};
use crate::config::TypeChoice;
use crate::image::Digest;
use crate::seccomp::Filter;

/// A container's definition. Each of its lives is a DomU made after it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Definition {
    /// The container.
    pub id: ContainerId,
    /// Its name, also of its DomUs.
    pub name: Name,
    /// When it was created.
    pub created: Timestamp,
    /// The image that it was made of.
    pub image: ImageUse,
    /// The image's root disk.
    pub root_disk: RootDisk,
    /// The main process.
    pub process: Process,
    /// Host name in the container.
    pub hostname: String,
    /// NIS domain name in the container; empty is none.
    #[serde(default)]
    pub domainname: String,
    /// Groups that its processes are in besides those of their users: names of the
    /// image's, or numbers.
    #[serde(default)]
    pub groups: Vec<String>,
    /// What its users have written on it; its image's labels too.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// What they have written on it for others than vxn.
    #[serde(default)]
    pub annotations: BTreeMap<String, String>,
    /// What it wants of the network.
    pub network: NetworkSpec,
    /// Wanted guest type.
    pub guest_type: TypeChoice,
    /// Memory of the DomU in KiB.
    pub memory_kib: u64,
    /// Virtual CPUs of the DomU.
    pub vcpus: u32,
    /// What it may use of the host's CPUs.
    #[serde(default)]
    pub cpu: Cpu,
    /// What its processes may take of the guest.
    #[serde(default)]
    pub limits: Limits,
    /// What its processes may do.
    #[serde(default)]
    pub privileges: Privileges,
    /// What system calls they may make, if not all.
    #[serde(default)]
    pub seccomp: Option<Filter>,
    /// The guest's kernel, when it is not the host's choice.
    pub kernel: Option<PathBuf>,
    /// The guest's initramfs, when it is not the host's choice.
    pub initramfs: Option<PathBuf>,
    /// How long the main process may run.
    pub timeout: Option<Duration>,
    /// `--rm`: the container ends with its process.
    pub remove: bool,
    /// Where the container's writes go.
    pub layer: Layer,
    /// Nothing may be written to the root file system.
    pub read_only: bool,
    /// The directory of this host that gets what the process has written, at its end.
    #[serde(default)]
    pub write_back: Option<WriteBack>,
    /// File systems in memory.
    pub tmpfs: Vec<Tmpfs>,
    /// What of this host it has.
    #[serde(default)]
    pub mounts: Vec<Mount>,
    /// Which disks of this host.
    #[serde(default)]
    pub devices: Vec<Device>,
    /// How its health is checked, if it is.
    #[serde(default)]
    pub health: Option<HealthCheck>,
    /// How it is stopped.
    pub stop: Stop,
    /// When it is started again.
    pub restart: RestartPolicy,
    /// How its output is kept.
    pub log: LogOptions,
}

impl Definition {
    /// The names of its own address in `/etc/hosts`, docker's: the whole one first.
    pub fn own_names(&self) -> String {
        let Definition { hostname, domainname, .. } = self;
        if domainname.is_empty() {
            return hostname.clone();
        }
        format!("{hostname}.{domainname} {hostname}")
    }
}

/// The image of a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageUse {
    /// What the user called it.
    pub reference: String,
    /// Digest of its manifest.
    pub digest: Digest,
}

/// What the container writes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Layer {
    /// The guest's memory, gone with each DomU.
    Memory,
    /// A disk of its own, of so many bytes at most.
    Disk {
        /// Size of the disk.
        bytes: u64,
    },
}

/// How a container is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stop {
    /// The signal that its main process gets first.
    pub signal: u8,
    /// How long the process may take before it is killed; `None` waits for ever.
    pub seconds: Option<u64>,
}

/// SIGTERM and ten seconds, as docker.
impl Default for Stop {
    fn default() -> Stop {
        Stop { signal: 15, seconds: Some(10) }
    }
}

/// The main process, in words that a person can read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// Program and arguments.
    pub args: Vec<Text>,
    /// `KEY=VALUE`.
    pub env: Vec<Text>,
    /// Working directory.
    pub cwd: Text,
    /// User, as the image knows it.
    pub user: String,
    /// It has a terminal.
    pub tty: bool,
    /// Its stdin is open.
    pub stdin: bool,
    /// Its supplementary groups, when they are not for the image to say.
    #[serde(default)]
    pub groups: Option<Vec<u32>>,
    /// Its umask, when it is not 022.
    #[serde(default)]
    pub umask: Option<u32>,
}

impl Process {
    /// The process as the guest is told; a terminal has the size `size`.
    pub fn spec(&self, size: Option<WindowSize>) -> ProcessSpec {
        let bytes = |list: &[Text]| list.iter().map(|text| text.0.clone()).collect();
        ProcessSpec {
            args: bytes(&self.args),
            env: bytes(&self.env),
            cwd: self.cwd.0.clone(),
            user: self.user.clone(),
            tty: self.tty.then(|| size.unwrap_or(DEFAULT_SIZE)),
            stdin: self.stdin,
            groups: self.groups.clone(),
            umask: self.umask,
        }
    }
}

impl From<ProcessSpec> for Process {
    fn from(spec: ProcessSpec) -> Process {
        let texts = |list: Vec<Vec<u8>>| list.into_iter().map(Text).collect();
        Process {
            args: texts(spec.args),
            env: texts(spec.env),
            cwd: Text(spec.cwd),
            user: spec.user,
            tty: spec.tty.is_some(),
            stdin: spec.stdin,
            groups: spec.groups,
            umask: spec.umask,
        }
    }
}

/// The size of a terminal that nobody looks at.
pub const DEFAULT_SIZE: WindowSize = WindowSize { rows: 24, columns: 80 };

/// Bytes that mostly are text, and are written as text when they are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Written", into = "Written")]
pub struct Text(pub Vec<u8>);

impl Text {
    /// The text, with what is not UTF-8 replaced.
    pub fn lossy(&self) -> String {
        String::from_utf8_lossy(&self.0).into_owned()
    }
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Written {
    Text(String),
    Bytes(Vec<u8>),
}

impl From<Written> for Text {
    fn from(written: Written) -> Text {
        match written {
            Written::Text(text) => Text(text.into_bytes()),
            Written::Bytes(bytes) => Text(bytes),
        }
    }
}

impl From<Text> for Written {
    fn from(text: Text) -> Written {
        String::from_utf8(text.0).map_or_else(|e| Written::Bytes(e.into_bytes()), Written::Text)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use vxn_proto::FileSystem;

    use super::*;

    /// A definition to test with.
    pub fn definition(name: &str) -> Definition {
        let spec = ProcessSpec {
            args: vec![b"true".to_vec(), b"\xff".to_vec()],
            env: vec![b"A=b".to_vec()],
            cwd: b"/".to_vec(),
            user: String::new(),
            tty: None,
            stdin: false,
            groups: None,
            umask: None,
        };
        let id = ContainerId::random().unwrap();
        Definition {
            hostname: id.short().to_owned(),
            domainname: String::new(),
            groups: Vec::new(),
            labels: BTreeMap::new(),
            annotations: BTreeMap::new(),
            network: NetworkSpec::default(),
            id,
            name: name.parse().unwrap(),
            created: Timestamp::UNIX_EPOCH,
            image: ImageUse { reference: "busybox".into(), digest: Digest::of(b"") },
            root_disk: RootDisk { path: "/r".into(), fs: FileSystem::SquashFs },
            process: spec.into(),
            guest_type: TypeChoice::Auto,
            memory_kib: 262_144,
            vcpus: 1,
            cpu: Cpu::default(),
            limits: Limits::default(),
            privileges: Privileges::default(),
            seccomp: None,
            kernel: None,
            initramfs: None,
            timeout: None,
            remove: false,
            layer: Layer::Memory,
            read_only: false,
            write_back: None,
            tmpfs: Vec::new(),
            mounts: Vec::new(),
            devices: Vec::new(),
            health: None,
            stop: Stop::default(),
            restart: RestartPolicy::No,
            log: LogOptions::default(),
        }
    }

    #[test]
    fn a_definition_is_read_as_it_was_written() {
        let made = definition("web");
        let json = serde_json::to_string(&made).unwrap();
        assert!(json.contains(r#""args":["true",[255]]"#), "{json}");
        let read: Definition = serde_json::from_str(&json).unwrap();
        assert_eq!(read.process, made.process);
        assert_eq!(read.process.spec(None).args, [&b"true"[..], b"\xff"]);
        assert_eq!((read.id, read.name), (made.id, made.name));
    }

    #[test]
    fn a_domain_name_makes_the_host_name_whole() {
        let mut web = Definition { hostname: "box".to_owned(), ..definition("web") };
        assert_eq!(web.own_names(), "box");
        web.domainname = "example.org".to_owned();
        assert_eq!(web.own_names(), "box.example.org box");
    }

    #[test]
    fn a_definition_of_an_older_vxn_is_read() {
        let mut json = serde_json::to_value(definition("web")).unwrap();
        for newer in [
            "cpu",
            "limits",
            "privileges",
            "seccomp",
            "domainname",
            "groups",
            "annotations",
            "devices",
            "health",
            "write_back",
        ] {
            assert!(json.as_object_mut().unwrap().remove(newer).is_some(), "{newer}");
        }
        let read: Definition = serde_json::from_value(json).unwrap();
        assert_eq!((read.cpu, read.limits), (Cpu::default(), Limits::default()));
    }
}
