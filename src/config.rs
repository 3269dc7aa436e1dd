//! Settings and where each came from: a flag beats the environment (`VXN_*`),
//! the environment beats `/etc/vxn/vxn.toml`, the file beats what is built in.

mod annotations;
mod disk_choice;
mod memory;

use std::fmt::{self, Display};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use ipnet::{Ipv4Net, Ipv6Net};
use serde::{Deserialize, Serialize};

pub use annotations::{Annotation, Annotations};
pub use disk_choice::DiskChoice;
pub use memory::Memory;

use crate::network::{Defaults, Networks};
use crate::seccomp;

/// The settings file, unless `VXN_CONFIG` names another.
pub const FILE: &str = "/etc/vxn/vxn.toml";

/// Why the settings cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file cannot be read.
    #[error("cannot read the settings file {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's words.
        source: std::io::Error,
    },
    /// The file is not TOML, or has a key or a value that vxn does not know.
    #[error("settings file {}: {message}", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// The parser's words, with the line.
        message: String,
    },
    /// A value that does not parse, in the file or in the environment.
    #[error("{origin}: {name} = {value:?}: {message}")]
    Value {
        /// Which setting.
        name: &'static str,
        /// What was given.
        value: String,
        /// Where it was given.
        origin: Origin,
        /// What is accepted.
        message: String,
    },
}

/// Where a setting came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// vxn's own default.
    BuiltIn,
    /// The settings file.
    File(PathBuf),
    /// An environment variable.
    Environment(String),
    /// A command line flag.
    Flag(&'static str),
}

impl Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::BuiltIn => f.write_str("built in"),
            Origin::File(path) => write!(f, "{}", path.display()),
            Origin::Environment(name) => write!(f, "environment {name}"),
            Origin::Flag(name) => write!(f, "flag {name}"),
        }
    }
}

/// A value and its origin.
#[derive(Debug, Clone, Serialize)]
pub struct Setting<T> {
    /// The value in force.
    pub value: T,
    /// Where it came from.
    pub origin: Origin,
}

impl<T> Setting<T> {
    /// Lets a flag beat the setting.
    pub fn or_flag(&self, name: &'static str, flag: Option<T>) -> Setting<T>
    where
        T: Clone,
    {
        match flag {
            Some(value) => Setting { value, origin: Origin::Flag(name) },
            None => self.clone(),
        }
    }
}

/// The wanted guest type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TypeChoice {
    /// PVH where the host and the kernel can, PV where they cannot.
    Auto,
    /// Paravirtualised.
    Pv,
    /// Paravirtualised in a hardware container.
    Pvh,
}

impl FromStr for TypeChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<TypeChoice, String> {
        match text {
            "auto" => Ok(TypeChoice::Auto),
            "pv" => Ok(TypeChoice::Pv),
            "pvh" => Ok(TypeChoice::Pvh),
            _ => Err(format!("{text:?} is not a guest type: auto, pv or pvh")),
        }
    }
}

impl Display for TypeChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TypeChoice::Auto => "auto",
            TypeChoice::Pv => "pv",
            TypeChoice::Pvh => "pvh",
        })
    }
}

/// What vxn goes by when no flag says otherwise.
#[derive(Debug, Clone, Serialize)]
pub struct Settings {
    /// Memory of a DomU.
    pub memory: Setting<Memory>,
    /// Virtual CPUs of a DomU.
    pub vcpus: Setting<u32>,
    /// Guest type.
    #[serde(rename = "type")]
    pub guest_type: Setting<TypeChoice>,
    /// Guest kernel: bzImage, Image or ELF vmlinux.
    pub kernel: Setting<PathBuf>,
    /// Guest initramfs, as `cargo xtask initramfs` builds it.
    pub initramfs: Setting<PathBuf>,
    /// The script that libxl runs for vbd and vif.
    pub hotplug: Setting<PathBuf>,
    /// Images, root disks, kernels: survives a reboot.
    pub root: Setting<PathBuf>,
    /// Live state: gone with the boot.
    pub run: Setting<PathBuf>,
    /// Bridge of the default network.
    pub bridge: Setting<String>,
    /// IPv4 addresses of the default network.
    pub subnet: Setting<Ipv4Net>,
    /// IPv6 addresses of the default network.
    pub subnet6: Setting<Ipv6Net>,
    /// Seconds that a DomU may take from its first instruction to its hello.
    pub boot_timeout: Setting<u64>,
    /// The registry of names that have none.
    pub registry: Setting<String>,
    /// The most that an image's layers may hold, unpacked.
    pub image_limit: Setting<Memory>,
    /// What root disks are to be.
    pub root_disk: Setting<DiskChoice>,
    /// The annotations `org.vxn.*` of OCI bundles that are honoured.
    pub oci_annotations: Setting<Annotations>,
    /// The seccomp profile of containers whose flags name none.
    pub seccomp: Setting<seccomp::Choice>,
}

/// A setting as people read it.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// Its key in the file.
    pub name: &'static str,
    /// The value in force.
    pub value: String,
    /// Where it came from.
    pub origin: String,
}

impl Settings {
    /// Every setting, in the order in which they are documented.
    pub fn rows(&self) -> Vec<Row> {
        vec![
            self.memory.row("memory"),
            self.vcpus.row("vcpus"),
            self.guest_type.row("type"),
            self.kernel.path_row("kernel"),
            self.initramfs.path_row("initramfs"),
            self.hotplug.path_row("hotplug"),
            self.root.path_row("root"),
            self.run.path_row("run"),
            self.bridge.row("bridge"),
            self.subnet.row("subnet"),
            self.subnet6.row("subnet6"),
            self.boot_timeout.row("boot_timeout"),
            self.registry.row("registry"),
            self.image_limit.row("image_limit"),
            self.root_disk.row("root_disk"),
            self.oci_annotations.row("oci_annotations"),
            self.seccomp.row("seccomp"),
        ]
    }
}

impl<T: Display> Setting<T> {
    fn row(&self, name: &'static str) -> Row {
        Row { name, value: self.value.to_string(), origin: self.origin.to_string() }
    }
}

impl Setting<PathBuf> {
    fn path_row(&self, name: &'static str) -> Row {
        let value = self.value.display().to_string();
        Row { name, value, origin: self.origin.to_string() }
    }
}

/// The keys of the file; each is text or a number.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileKeys {
    memory: Option<Scalar>,
    vcpus: Option<Scalar>,
    r#type: Option<Scalar>,
    kernel: Option<Scalar>,
    initramfs: Option<Scalar>,
    hotplug: Option<Scalar>,
    root: Option<Scalar>,
    run: Option<Scalar>,
    bridge: Option<Scalar>,
    subnet: Option<Scalar>,
    subnet6: Option<Scalar>,
    boot_timeout: Option<Scalar>,
    registry: Option<Scalar>,
    image_limit: Option<Scalar>,
    root_disk: Option<Scalar>,
    oci_annotations: Option<Scalar>,
    seccomp: Option<Scalar>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Scalar {
    Text(String),
    Number(u64),
}

impl Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Scalar::Text(text) => f.write_str(text),
            Scalar::Number(number) => write!(f, "{number}"),
        }
    }
}

impl Settings {
    /// The cache of unpacked kernels.
    pub fn kernels(&self) -> PathBuf {
        self.root.value.join("kernels")
    }

    /// Work directories, on the same file system as what they are made for.
    pub fn tmp(&self) -> PathBuf {
        self.root.value.join("tmp")
    }

    /// The networks that guests can be on.
    pub fn networks(&self) -> Networks {
        let defaults = Defaults {
            bridge: self.bridge.value.clone(),
            subnet: self.subnet.value,
            subnet6: self.subnet6.value,
        };
        Networks::new(&self.root.value, &self.run.value, defaults)
    }

    /// Reads the file and the environment of this process.
    pub fn load() -> Result<Settings, Error> {
        let named = std::env::var_os("VXN_CONFIG").map(PathBuf::from);
        let path = named.clone().unwrap_or_else(|| PathBuf::from(FILE));
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound && named.is_none() => String::new(),
            Err(source) => return Err(Error::Read { path, source }),
        };
        Settings::from_parts(&path, &text, |name| std::env::var(name).ok())
    }

    /// What a settings file with this text would set, if nothing else did.
    pub fn parse(path: &Path, text: &str) -> Result<Settings, Error> {
        Settings::from_parts(path, text, |_| None)
    }

    fn from_parts(
        path: &Path,
        text: &str,
        env: impl Fn(&str) -> Option<String>,
    ) -> Result<Settings, Error> {
        let keys: FileKeys = toml::from_str(text).map_err(|e| Error::Parse {
            path: path.to_owned(),
            message: e.to_string().trim_end().to_owned(),
        })?;
        let source = Source { path, env: &env };
        let network = Defaults::default();
        Ok(Settings {
            memory: source.pick("memory", keys.memory, || Memory::from_mib(256))?,
            vcpus: source.pick("vcpus", keys.vcpus, || 1)?,
            guest_type: source.pick("type", keys.r#type, || TypeChoice::Auto)?,
            kernel: source.pick("kernel", keys.kernel, running_kernel)?,
            initramfs: source.pick("initramfs", keys.initramfs, || lib("initramfs.cpio"))?,
            hotplug: source.pick("hotplug", keys.hotplug, || lib("vxn-hotplug"))?,
            root: source.pick("root", keys.root, || PathBuf::from("/var/lib/vxn"))?,
            run: source.pick("run", keys.run, || PathBuf::from("/run/vxn"))?,
            bridge: source.pick("bridge", keys.bridge, || network.bridge.clone())?,
            subnet: source.pick("subnet", keys.subnet, || network.subnet)?,
            subnet6: source.pick("subnet6", keys.subnet6, || network.subnet6)?,
            boot_timeout: source.pick("boot_timeout", keys.boot_timeout, || 120)?,
            registry: source.pick("registry", keys.registry, || "docker.io".to_owned())?,
            image_limit: source
                .pick("image_limit", keys.image_limit, || Memory::from_mib(64 << 10))?,
            root_disk: source.pick("root_disk", keys.root_disk, || DiskChoice::Auto)?,
            oci_annotations: source.pick(
                "oci_annotations",
                keys.oci_annotations,
                Annotations::default,
            )?,
            seccomp: source.pick("seccomp", keys.seccomp, || seccomp::Choice::Unconfined)?,
        })
    }
}

fn lib(name: &str) -> PathBuf {
    Path::new("/usr/lib/vxn").join(name)
}

/// Dom0's own kernel: on Debian and Yocto it boots as a DomU as well.
fn running_kernel() -> PathBuf {
    let release = nix::sys::utsname::uname()
        .map(|name| name.release().to_string_lossy().into_owned())
        .unwrap_or_default();
    PathBuf::from(format!("/boot/vmlinuz-{release}"))
}

struct Source<'a> {
    path: &'a Path,
    env: &'a dyn Fn(&str) -> Option<String>,
}

impl Source<'_> {
    fn pick<T: FromStr<Err: Display>>(
        &self,
        name: &'static str,
        file: Option<Scalar>,
        built_in: impl FnOnce() -> T,
    ) -> Result<Setting<T>, Error> {
        let variable = format!("VXN_{}", name.to_uppercase());
        let (text, origin) = match ((self.env)(&variable), file) {
            (Some(text), _) => (text, Origin::Environment(variable)),
            (None, Some(scalar)) => (scalar.to_string(), Origin::File(self.path.to_owned())),
            (None, None) => return Ok(Setting { value: built_in(), origin: Origin::BuiltIn }),
        };
        match text.parse() {
            Ok(value) => Ok(Setting { value, origin }),
            Err(e) => Err(Error::Value { name, value: text, origin, message: e.to_string() }),
        }
    }
}

#[cfg(test)]
mod tests;
