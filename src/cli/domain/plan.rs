//! From a configuration file to what libxl is asked for. Pure but for the MAC
//! addresses, which are chosen here, so that a restarted domain keeps them.

use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::cli::domain_config::{self, DomainFile, Kind, OnEnd};
use crate::kernel::KernelInfo;
use crate::libxl::{Action, Disk, DomainConfig, GuestType, Mac, Nic, Scheduling, Uuid};

/// The domain that `file` describes, with `kernel` in the place of the kernel that
/// it names, and with `hotplug` for its devices where it names no script. Paths
/// become absolute.
pub fn domain(file: DomainFile, kernel: KernelInfo, hotplug: &Path) -> Result<DomainConfig> {
    check_kernel(&file, &kernel)?;
    let disks = file.disks.into_iter().map(|disk| self::disk(disk, hotplug));
    Ok(DomainConfig {
        name: file.name,
        uuid: Uuid::random(),
        guest_type: match file.kind {
            Kind::Pv => GuestType::Pv,
            Kind::Pvh => GuestType::Pvh,
        },
        memory_kib: u64::from(file.memory_mib) * 1024,
        vcpus: file.vcpus,
        scheduling: Scheduling::default(),
        kernel: kernel.path,
        ramdisk: file.ramdisk.map(absolute).transpose()?,
        cmdline: file.extra,
        disks: disks.collect::<Result<_>>()?,
        nics: file.vifs.into_iter().map(|vif| nic(vif, hotplug)).collect(),
        shares: None,
        xsdata: Vec::new(),
        on_poweroff: action(file.on_poweroff),
        on_reboot: action(file.on_reboot),
        on_crash: action(file.on_crash),
    })
}

fn check_kernel(file: &DomainFile, kernel: &KernelInfo) -> Result<()> {
    let (able, other) = match file.kind {
        Kind::Pv => (kernel.pv, "pvh"),
        Kind::Pvh => (kernel.pvh, "pv"),
    };
    if !able {
        let kind = if file.kind == Kind::Pv { "PV" } else { "PVH" };
        bail!("{} cannot boot as a {kind} guest (try type = \"{other}\")", file.kernel.display());
    }
    Ok(())
}

/// A disk as libxl takes it.
pub fn disk(disk: domain_config::Disk, hotplug: &Path) -> Result<Disk> {
    Ok(Disk {
        path: absolute(disk.target)?,
        vdev: disk.vdev,
        writable: disk.writable,
        script: Some(disk.script.unwrap_or_else(|| hotplug.to_owned())),
    })
}

fn nic(vif: domain_config::Vif, hotplug: &Path) -> Nic {
    Nic {
        mac: Some(vif.mac.map_or_else(random_mac, Mac)),
        bridge: vif.bridge,
        script: Some(vif.script.unwrap_or_else(|| hotplug.to_owned())),
        ifname: vif.ifname,
        mtu: vif.mtu,
    }
}

/// An address in the range that is Xen's, 00:16:3e, as libxl chooses one.
fn random_mac() -> Mac {
    let [a, b, c, ..] = Uuid::random().0;
    Mac([0x00, 0x16, 0x3e, a & 0x7f, b, c])
}

fn action(on_end: OnEnd) -> Action {
    match on_end {
        OnEnd::Destroy => Action::Destroy,
        OnEnd::Restart => Action::Restart,
        OnEnd::Preserve => Action::Preserve,
    }
}

/// libxl runs elsewhere, and later again.
fn absolute(path: PathBuf) -> Result<PathBuf> {
    let absolute: io::Result<PathBuf> = std::path::absolute(&path);
    absolute.with_context(|| format!("cannot find {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(extra: &str) -> DomainFile {
        let text = format!("name='web'\nmemory=256\nkernel='/k'\ntype='pv'\n{extra}");
        domain_config::parse("a.cfg", text.as_bytes(), &[]).unwrap()
    }

    fn kernel(pv: bool, pvh: bool) -> KernelInfo {
        KernelInfo { path: "/cache/k".into(), pv, pvh }
    }

    #[test]
    fn devices_get_the_hotplug_program() {
        let text = "disk=['/a,raw,xvda,r','vdev=xvdb,script=/mine,target=/b']\nvif=['bridge=br0']";
        let plan = domain(file(text), kernel(true, true), Path::new("/hotplug")).unwrap();
        assert_eq!(plan.memory_kib, 262_144);
        assert_eq!(plan.kernel, Path::new("/cache/k"));
        let scripts: Vec<_> = plan.disks.iter().map(|d| d.script.clone().unwrap()).collect();
        assert_eq!(scripts, [Path::new("/hotplug"), Path::new("/mine")]);
        assert!(!plan.disks[0].writable && plan.disks[1].writable);
        let Mac(mac) = plan.nics[0].mac.unwrap();
        assert_eq!(mac[..3], [0x00, 0x16, 0x3e]);
        assert_eq!(plan.on_reboot, Action::Restart);
    }

    #[test]
    fn a_kernel_of_the_wrong_kind_is_refused() {
        let error = domain(file(""), kernel(false, true), Path::new("/h")).unwrap_err();
        assert_eq!(error.to_string(), "/k cannot boot as a PV guest (try type = \"pvh\")");
    }
}
