//! From OCI's words to Xen's: what a container is to be, worked out before
//! anything is done. Pure: no file is opened here and no Xen is needed.

use std::path::PathBuf;
use std::time::Duration;

use oci_spec::image::Config as ImageConfig;
use serde::{Deserialize, Serialize};
use vxn_proto::{FileSystem, ProcessSpec, Root, Writable};

use super::network::NetworkSpec;
use super::{ContainerId, Name};
use crate::config::TypeChoice;
use crate::image::Digest;
use crate::libxl::{Action, Disk, DomainConfig, GuestType, HostInfo, Nic, Uuid};
use crate::network::Networks;

/// docker's search path for images that set none.
const DEFAULT_PATH: &[u8] = b"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The guest's name of the root disk.
const ROOT_DEVICE: &str = "xvda";

/// Why a container cannot be as asked for.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// Neither the user nor the image says what to run.
    #[error("no command specified")]
    NoCommand,
    /// The host or the kernel cannot do the wanted guest type.
    #[error("this {who} cannot run {wanted} guests")]
    GuestType {
        /// Host or kernel.
        who: &'static str,
        /// The type.
        wanted: &'static str,
    },
}

impl Error {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Error::NoCommand => "the image has no ENTRYPOINT or CMD: give a command after it",
            Error::GuestType { .. } => "`vxn info` shows what the host can; try --type auto",
        }
    }
}

/// What the user asked of the process, on top of the image's configuration.
#[derive(Debug, Default, Clone)]
pub struct ProcessRequest {
    /// Command and arguments.
    pub command: Vec<Vec<u8>>,
    /// `--entrypoint`; an empty one resets the image's.
    pub entrypoint: Option<Vec<u8>>,
    /// `KEY=VALUE`, the last of a key wins.
    pub env: Vec<Vec<u8>>,
    /// `-w`.
    pub workdir: Option<Vec<u8>>,
    /// `-u`.
    pub user: Option<String>,
    /// `-i`.
    pub stdin: bool,
}

/// Merges the user's request with the image's configuration, as docker does.
///
/// # Errors
/// [`Error::NoCommand`] when there is nothing to run.
pub fn process(
    request: ProcessRequest,
    image: Option<&ImageConfig>,
    hostname: &str,
) -> Result<ProcessSpec, Error> {
    let args = arguments(&request, image);
    if args.is_empty() {
        return Err(Error::NoCommand);
    }
    let mut env = Environment::default();
    env.set([b"PATH=", DEFAULT_PATH].concat());
    env.set([b"HOSTNAME=", hostname.as_bytes()].concat());
    let image_env = image.and_then(|c| c.env().as_ref());
    image_env.into_iter().flatten().for_each(|e| env.set(e.clone().into_bytes()));
    request.env.into_iter().for_each(|e| env.set(e));
    let image_cwd = || image.and_then(|c| c.working_dir().clone()).map(String::into_bytes);
    let image_user = || image.and_then(|c| c.user().clone());
    Ok(ProcessSpec {
        args,
        env: env.0,
        cwd: request.workdir.or_else(image_cwd).unwrap_or_default(),
        user: request.user.or_else(image_user).unwrap_or_default(),
        tty: None,
        stdin: request.stdin,
    })
}

/// A new entrypoint drops the image's command; a new command replaces it.
fn arguments(request: &ProcessRequest, image: Option<&ImageConfig>) -> Vec<Vec<u8>> {
    let bytes = |list: &Option<Vec<String>>| -> Vec<Vec<u8>> {
        list.iter().flatten().map(|s| s.clone().into_bytes()).collect()
    };
    let of_image = |part: fn(&ImageConfig) -> &Option<Vec<String>>| {
        image.map(|c| bytes(part(c))).unwrap_or_default()
    };
    let mut args = match &request.entrypoint {
        Some(program) if program.is_empty() => Vec::new(),
        Some(program) => vec![program.clone()],
        None => of_image(ImageConfig::entrypoint),
    };
    if request.command.is_empty() && request.entrypoint.is_none() {
        args.extend(of_image(ImageConfig::cmd));
    } else {
        args.extend(request.command.iter().cloned());
    }
    args
}

/// `KEY=VALUE` strings, one per key, in the order in which the keys came.
#[derive(Default)]
struct Environment(Vec<Vec<u8>>);

impl Environment {
    fn set(&mut self, entry: Vec<u8>) {
        let key = |e: &[u8]| e.split(|&b| b == b'=').next().map(<[u8]>::to_vec);
        match self.0.iter_mut().find(|e| key(e) == key(&entry)) {
            Some(old) => *old = entry,
            None => self.0.push(entry),
        }
    }
}

/// A guest kernel that is ready to be loaded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kernel {
    /// Uncompressed: ELF vmlinux or arm64 Image.
    pub path: PathBuf,
    /// It has a PV entry point.
    pub pv: bool,
    /// It has a PVH entry point.
    pub pvh: bool,
}

/// A read-only root disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootDisk {
    /// The file.
    pub path: PathBuf,
    /// What it holds.
    pub fs: FileSystem,
}

/// Everything that the monitor has to know.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Plan {
    /// The container.
    pub id: ContainerId,
    /// Its name, when the user gave one.
    pub name: Option<Name>,
    /// The uuid of its DomU.
    pub uuid: Uuid,
    /// The wanted guest type.
    pub guest_type: TypeChoice,
    /// Memory of the DomU in KiB.
    pub memory_kib: u64,
    /// Virtual CPUs of the DomU.
    pub vcpus: u32,
    /// The guest's kernel.
    pub kernel: Kernel,
    /// The guest's initramfs.
    pub initramfs: PathBuf,
    /// The script for vbd and vif.
    pub hotplug: PathBuf,
    /// The manifest of the image.
    pub image: Digest,
    /// The image's root file system.
    pub root_disk: RootDisk,
    /// Host name in the container.
    pub hostname: String,
    /// The process.
    pub process: ProcessSpec,
    /// Its network.
    pub network: NetworkSpec,
    /// The networks that there are.
    pub networks: Networks,
    /// How long the process may run.
    pub timeout: Option<Duration>,
    /// How long the DomU may take to its hello.
    pub boot_timeout: Duration,
    /// Where live state is kept.
    pub run: PathBuf,
}

impl Plan {
    /// Name of the DomU, as `xl list` shows it.
    pub fn domain_name(&self) -> &str {
        self.name.as_ref().map_or(self.id.short(), Name::as_str)
    }

    /// The guest's root file system.
    pub fn root(&self) -> Root {
        Root {
            device: ROOT_DEVICE.to_owned(),
            fs: self.root_disk.fs,
            writable: Writable::Tmpfs { size_bytes: None },
        }
    }

    /// The DomU, with these vifs.
    ///
    /// # Errors
    /// [`Error::GuestType`] when host and kernel do not allow the wanted type.
    pub fn domain(&self, host: &HostInfo, nics: Vec<Nic>) -> Result<DomainConfig, Error> {
        Ok(DomainConfig {
            name: self.domain_name().to_owned(),
            uuid: self.uuid,
            guest_type: guest_type(self.guest_type, host, &self.kernel)?,
            memory_kib: self.memory_kib,
            vcpus: self.vcpus,
            kernel: self.kernel.path.clone(),
            ramdisk: Some(self.initramfs.clone()),
            cmdline: COMMAND_LINE.to_owned(),
            disks: vec![Disk {
                path: self.root_disk.path.clone(),
                vdev: ROOT_DEVICE.to_owned(),
                writable: false,
                script: Some(self.hotplug.clone()),
            }],
            xsdata: vec![("vxn/container".to_owned(), self.id.to_string())],
            nics,
            on_poweroff: Action::Destroy,
            on_reboot: Action::Destroy,
            on_crash: Action::Destroy,
        })
    }
}

/// The type that `choice` means on this host and with this kernel: if it is left
/// to us, PVH where both can, PV where they cannot.
///
/// # Errors
/// [`Error::GuestType`] says whether it is the host or the kernel that cannot.
pub fn guest_type(
    choice: TypeChoice,
    host: &HostInfo,
    kernel: &Kernel,
) -> Result<GuestType, Error> {
    let host_pvh = host.hvm && host.hap;
    let no = |who, wanted| Err(Error::GuestType { who, wanted });
    match choice {
        TypeChoice::Auto if host_pvh && kernel.pvh => Ok(GuestType::Pvh),
        TypeChoice::Auto | TypeChoice::Pv if host.pv && kernel.pv => Ok(GuestType::Pv),
        TypeChoice::Auto => no("host with this kernel", "pv or pvh"),
        TypeChoice::Pv if host.pv => no("kernel", "pv"),
        TypeChoice::Pv => no("host", "pv"),
        TypeChoice::Pvh if !host_pvh => no("host", "pvh"),
        TypeChoice::Pvh if !kernel.pvh => no("kernel", "pvh"),
        TypeChoice::Pvh => Ok(GuestType::Pvh),
    }
}

/// `panic=-1`: a guest that panics is gone at once, with the reason "crash".
/// Only errors go to the console: each character costs. The rest saves a quarter
/// of the boot, each where the kernel has it: names of enums for tracing (a walk
/// through all trace events), self-tests of ciphers, and waits for RCU, of which
/// every mount and namespace has one.
const COMMAND_LINE: &str = "console=hvc0 quiet loglevel=4 panic=-1 \
    initcall_blacklist=trace_eval_init cryptomgr.notests rcupdate.rcu_expedited=1";

#[cfg(test)]
mod tests {
    use std::path::Path;

    use oci_spec::image::ConfigBuilder;

    use super::*;
    use crate::network::Defaults;

    fn image() -> ImageConfig {
        let strings = |list: &[&str]| list.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>();
        ConfigBuilder::default()
            .entrypoint(strings(&["/entry", "-x"]))
            .cmd(strings(&["default"]))
            .env(strings(&["PATH=/image", "A=image", "B=image"]))
            .working_dir("/srv")
            .user("web:web")
            .build()
            .unwrap()
    }

    fn request(command: &[&[u8]]) -> ProcessRequest {
        ProcessRequest {
            command: command.iter().map(|a| a.to_vec()).collect(),
            ..Default::default()
        }
    }

    fn args(request: ProcessRequest) -> Vec<Vec<u8>> {
        process(request, Some(&image()), "h").unwrap().args
    }

    #[test]
    fn a_command_replaces_cmd_and_follows_the_entrypoint() {
        assert_eq!(args(request(&[])), [&b"/entry"[..], b"-x", b"default"]);
        assert_eq!(args(request(&[b"", b"\xff $"])), [&b"/entry"[..], b"-x", b"", b"\xff $"]);
    }

    #[test]
    fn a_new_entrypoint_drops_cmd() {
        let entry = |text: &[u8], command: &[&[u8]]| ProcessRequest {
            entrypoint: Some(text.to_vec()),
            ..request(command)
        };
        assert_eq!(args(entry(b"/bin/sh", &[])), [b"/bin/sh"]);
        assert_eq!(args(entry(b"/bin/sh", &[b"-c"])), [&b"/bin/sh"[..], b"-c"]);
        assert_eq!(args(entry(b"", &[b"ls"])), [b"ls"]);
        let nothing = process(entry(b"", &[]), Some(&image()), "h");
        assert_eq!(nothing.unwrap_err(), Error::NoCommand);
        assert_eq!(process(request(&[]), None, "h").unwrap_err(), Error::NoCommand);
    }

    #[test]
    fn the_last_word_on_a_variable_wins() {
        let request = ProcessRequest {
            env: vec![b"A=user".to_vec(), b"C=\xff".to_vec(), b"A=last".to_vec()],
            ..request(&[])
        };
        let env = process(request, Some(&image()), "host").unwrap().env;
        assert_eq!(env, [&b"PATH=/image"[..], b"HOSTNAME=host", b"A=last", b"B=image", b"C=\xff"]);
        let bare = process(super::tests::request(&[b"x"]), None, "h").unwrap();
        assert!(bare.env[0].starts_with(b"PATH=/usr/local/sbin:"));
    }

    #[test]
    fn flags_beat_the_image() {
        let from_image = process(request(&[]), Some(&image()), "h").unwrap();
        assert_eq!((&*from_image.cwd, &*from_image.user), (&b"/srv"[..], "web:web"));
        let request = ProcessRequest {
            workdir: Some(b"/tmp".to_vec()),
            user: Some("0".to_owned()),
            ..request(&[])
        };
        let spec = process(request, Some(&image()), "h").unwrap();
        assert_eq!((&*spec.cwd, &*spec.user), (&b"/tmp"[..], "0"));
    }

    fn plan(guest_type: TypeChoice, pv: bool, pvh: bool) -> Plan {
        let id = ContainerId::random().unwrap();
        Plan {
            name: None,
            uuid: Uuid::random(),
            guest_type,
            memory_kib: 262_144,
            vcpus: 1,
            kernel: Kernel { path: "/k".into(), pv, pvh },
            initramfs: "/i".into(),
            hotplug: "/h".into(),
            image: "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
                .parse()
                .unwrap(),
            root_disk: RootDisk { path: "/r".into(), fs: FileSystem::SquashFs },
            hostname: id.short().to_owned(),
            id,
            process: process(request(&[b"true"]), None, "h").unwrap(),
            network: NetworkSpec::default(),
            networks: Networks::new(Path::new("/r"), Path::new("/run/vxn"), Defaults::default()),
            timeout: None,
            boot_timeout: Duration::from_secs(1),
            run: "/run/vxn".into(),
        }
    }

    #[test]
    fn the_guest_type_is_one_that_host_and_kernel_can() {
        use TypeChoice::{Auto, Pv, Pvh};
        let host = |hvm, hap, pv| HostInfo { hvm, hap, pv, ..HostInfo::default() };
        let full = host(true, true, true);
        let no_hap = host(true, false, true);
        let pick = |choice, pv, pvh, host: &HostInfo| {
            plan(choice, pv, pvh)
                .domain(host, Vec::new())
                .map(|d| d.guest_type)
                .map_err(|e| e.to_string())
        };
        assert_eq!(pick(Auto, true, true, &full), Ok(GuestType::Pvh));
        assert_eq!(pick(Auto, true, false, &full), Ok(GuestType::Pv));
        assert_eq!(pick(Auto, true, true, &no_hap), Ok(GuestType::Pv));
        assert_eq!(pick(Pv, true, true, &full), Ok(GuestType::Pv));
        assert_eq!(pick(Pvh, true, true, &no_hap), Err("this host cannot run pvh guests".into()));
        assert_eq!(pick(Pv, false, true, &full), Err("this kernel cannot run pv guests".into()));
        assert!(pick(Auto, false, true, &no_hap).is_err());
    }

    #[test]
    fn a_plan_survives_its_way_to_the_monitor() {
        let plan = plan(TypeChoice::Auto, true, true);
        let json = serde_json::to_vec(&plan).unwrap();
        let back: Plan = serde_json::from_slice(&json).unwrap();
        assert_eq!(back.process, plan.process);
        assert_eq!(back.domain_name(), plan.id.short());
    }
}
