//! From OCI's words to Xen's: what a container's next DomU is to be, worked out
//! before anything is done. Pure: no file is opened here and no Xen is needed.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use vxn_proto::{Container, FileSystem, Root, Writable};

use super::cpu::CpuSet;
use super::definition::{Definition, Layer};
use super::journal::Record;
use super::store::Containers;
use crate::config::TypeChoice;
use crate::libxl::{Action, Disk, DomainConfig, GuestType, HostInfo, Nic, Uuid};
use crate::network::Networks;

/// The guest's names of the root disk and of the writable one.
const ROOT_DEVICE: &str = "xvda";
const LAYER_DEVICE: &str = "xvdb";

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
    /// The host has no such CPUs.
    #[error("requested CPUs are not available: requested {requested}, available: 0-{last}")]
    Cpus {
        /// What was asked for.
        requested: CpuSet,
        /// The highest number of a CPU that the host has.
        last: u32,
    },
}

impl Error {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Error::NoCommand => "the image has no ENTRYPOINT or CMD: give a command after it",
            Error::Cpus { .. } => "name others with --cpuset-cpus; `vxn info` counts them",
            Error::GuestType { .. } => "`vxn info` shows what the host can; try --type auto",
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

/// Everything that the monitor has to know for one life of a container.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Plan {
    /// The container.
    pub definition: Definition,
    /// The uuid of the DomU.
    pub uuid: Uuid,
    /// The guest's kernel.
    pub kernel: Kernel,
    /// The guest's initramfs.
    pub initramfs: PathBuf,
    /// The script for vbd and vif.
    pub hotplug: PathBuf,
    /// The networks that there are.
    pub networks: Networks,
    /// How long the DomU may take to its hello.
    pub boot_timeout: Duration,
    /// Where containers are kept.
    pub root: PathBuf,
    /// Where live state is kept.
    pub run: PathBuf,
    /// The DomU is a helper: it is there for the container's files, its main process is
    /// not started, and the container is as it was before.
    pub helper: bool,
}

impl Plan {
    /// What the journal has to know.
    pub fn record(&self) -> Record {
        Record {
            id: self.definition.id.clone(),
            uuid: self.uuid,
            monitor: std::process::id(),
            // The store knows it.
            name: None,
            root: (!self.helper).then(|| self.root.clone()),
            namespace: self.definition.network.namespace.clone(),
        }
    }

    /// The disk of the writable layer, if it is one.
    pub fn layer(&self) -> Option<PathBuf> {
        Containers::new(&self.root).layer(&self.definition)
    }

    /// The guest's root file system.
    pub fn guest_root(&self) -> Root {
        let writable = match self.definition.layer {
            Layer::Memory => Writable::Tmpfs { size_bytes: None },
            Layer::Disk { .. } => Writable::Disk { device: LAYER_DEVICE.to_owned() },
        };
        Root { device: ROOT_DEVICE.to_owned(), fs: self.definition.root_disk.fs, writable }
    }

    /// Everything else that the guest has to know of the container.
    pub fn guest_settings(&self) -> Container {
        let Definition {
            read_only,
            tmpfs,
            limits,
            privileges,
            seccomp,
            groups,
            domainname,
            devices,
            ..
        } = self.definition.clone();
        let seccomp = seccomp.map(Into::into);
        let disks = devices.into_iter().map(|device| device.vdev).collect();
        Container { read_only, tmpfs, limits, privileges, groups, domainname, disks, seccomp }
    }

    /// The DomU, with these vifs.
    ///
    /// # Errors
    /// [`Error::GuestType`] when host and kernel do not allow the wanted type,
    /// [`Error::Cpus`] when the host does not have the wanted CPUs.
    pub fn domain(&self, host: &HostInfo, nics: Vec<Nic>) -> Result<DomainConfig, Error> {
        let definition = &self.definition;
        check_cpus(&definition.cpu.set, host)?;
        let disk = |path, vdev: &str, writable| Disk {
            path,
            vdev: vdev.to_owned(),
            writable,
            script: Some(self.hotplug.clone()),
        };
        let root = disk(definition.root_disk.path.clone(), ROOT_DEVICE, false);
        let layer = self.layer().map(|path| disk(path, LAYER_DEVICE, true));
        let devices = &definition.devices;
        let devices = devices.iter().map(|d| disk(d.source.clone(), &d.vdev, !d.read_only));
        Ok(DomainConfig {
            name: definition.name.to_string(),
            uuid: self.uuid,
            guest_type: guest_type(definition.guest_type, host, &self.kernel)?,
            memory_kib: definition.memory_kib,
            vcpus: definition.vcpus,
            scheduling: definition.cpu.scheduling(definition.vcpus),
            kernel: self.kernel.path.clone(),
            ramdisk: Some(self.initramfs.clone()),
            cmdline: COMMAND_LINE.to_owned(),
            disks: std::iter::once(root).chain(layer).chain(devices).collect(),
            shares: None,
            xsdata: vec![("vxn/container".to_owned(), definition.id.to_string())],
            nics,
            on_poweroff: Action::Destroy,
            on_reboot: Action::Destroy,
            on_crash: Action::Destroy,
        })
    }
}

/// Refuses CPUs that the host does not have.
///
/// # Errors
/// [`Error::Cpus`].
pub fn check_cpus(requested: &CpuSet, host: &HostInfo) -> Result<(), Error> {
    match requested.last() {
        Some(last) if u32::from(last) > host.max_cpu => {
            Err(Error::Cpus { requested: requested.clone(), last: host.max_cpu })
        }
        _ => Ok(()),
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

    use super::super::definition::tests::definition;
    use super::super::devices::Device;
    use super::*;
    use crate::network::Defaults;

    fn plan(guest_type: TypeChoice, pv: bool, pvh: bool) -> Plan {
        Plan {
            definition: Definition { guest_type, ..definition("web") },
            uuid: Uuid::random(),
            kernel: Kernel { path: "/k".into(), pv, pvh },
            initramfs: "/i".into(),
            hotplug: "/h".into(),
            networks: Networks::new(Path::new("/r"), Path::new("/run/vxn"), Defaults::default()),
            boot_timeout: Duration::from_secs(1),
            root: "/var/lib/vxn".into(),
            run: "/run/vxn".into(),
            helper: false,
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
    fn a_writable_layer_is_a_second_disk() {
        let mut plan = plan(TypeChoice::Auto, true, true);
        let host = HostInfo { hvm: true, hap: true, pv: true, ..HostInfo::default() };
        assert_eq!(plan.domain(&host, Vec::new()).unwrap().disks.len(), 1);
        plan.definition.layer = Layer::Disk { bytes: 1 << 30 };
        let disks = plan.domain(&host, Vec::new()).unwrap().disks;
        let seen: Vec<_> = disks.iter().map(|disk| (disk.vdev.as_str(), disk.writable)).collect();
        assert_eq!(seen, [("xvda", false), ("xvdb", true)]);
        let device = LAYER_DEVICE.to_owned();
        assert_eq!(plan.guest_root().writable, Writable::Disk { device });
    }

    #[test]
    fn devices_are_further_disks() {
        let mut plan = plan(TypeChoice::Auto, true, true);
        let host = HostInfo { pv: true, ..HostInfo::default() };
        let device = Device { source: "/d".into(), vdev: "xvdc".into(), read_only: true };
        plan.definition.devices = vec![device];
        let disks = plan.domain(&host, Vec::new()).unwrap().disks;
        let last = disks.last().unwrap();
        assert_eq!(
            (last.path.as_path(), &*last.vdev, last.writable),
            (Path::new("/d"), "xvdc", false)
        );
        assert_eq!(plan.guest_settings().disks, ["xvdc"]);
    }

    #[test]
    fn cpus_are_those_of_the_host() {
        let mut plan = plan(TypeChoice::Auto, true, true);
        let host = HostInfo { pv: true, max_cpu: 3, ..HostInfo::default() };
        plan.definition.cpu.set = "0,2-4".parse().unwrap();
        let error = plan.domain(&host, Vec::new()).unwrap_err().to_string();
        assert!(error.ends_with("requested 0,2-4, available: 0-3"), "{error}");
        plan.definition.cpu.set = "3".parse().unwrap();
        plan.definition.cpu.shares = Some(512);
        let scheduling = plan.domain(&host, Vec::new()).unwrap().scheduling;
        assert_eq!((scheduling.weight, scheduling.cap), (Some(128), None));
        assert!(scheduling.cpus.iter().eq([&3]));
    }

    #[test]
    fn a_plan_survives_its_way_to_the_monitor() {
        let plan = plan(TypeChoice::Auto, true, true);
        let json = serde_json::to_vec(&plan).unwrap();
        let back: Plan = serde_json::from_slice(&json).unwrap();
        assert_eq!(back.definition.process, plan.definition.process);
        assert_eq!(back.uuid, plan.uuid);
    }
}
