//! One look at each thing that vxn needs.

use std::env;
use std::ffi::OsStr;
use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};

use nix::unistd::{AccessFlags, Uid, access};

use super::Finding;
use crate::cli::root_disk;
use crate::config::Settings;
use crate::kernel;
use crate::libxl::{Ctx, HostInfo};
use crate::xenstore::Xenstore;

/// A kernel module: its name, the file that shows that it is there, whether
/// nothing works without it.
struct Module(&'static str, &'static str, bool);

const MODULES: [Module; 7] = [
    Module("xen-evtchn", "dev/xen/evtchn", true),
    Module("xen-gntdev", "dev/xen/gntdev", true),
    Module("xen-gntalloc", "dev/xen/gntalloc", true),
    Module("xen-blkback", "sys/bus/xen-backend/drivers/vbd", true),
    Module("loop", "dev/loop-control", true),
    Module("xen-netback", "sys/bus/xen-backend/drivers/vif", false),
    Module("nf_tables", "sys/module/nf_tables", false),
];

/// Looks at everything.
pub(super) fn all(settings: &Settings) -> Vec<Finding> {
    let root = Path::new("/");
    let mut findings = vec![privileges(), privcmd(), xenstored(), xenconsoled(root)];
    findings.extend(hypervisor());
    findings.extend(MODULES.iter().map(|module| self::module(root, module)));
    findings.push(program(
        "skopeo",
        "Debian: apt install skopeo; Yocto: IMAGE_INSTALL += \"skopeo\" (meta-virtualization)",
    ));
    findings.push(program("sqfstar", "Debian: apt install squashfs-tools (4.5 or later); Yocto: IMAGE_INSTALL += \"squashfs-tools\""));
    let nft = program(
        "nft",
        "Debian: apt install nftables; Yocto: IMAGE_INSTALL += \"nftables\"; without it there is \
         --network none",
    );
    findings.push(nft.optional());
    findings.push(file(
        "vxn-hotplug",
        &settings.hotplug.value,
        "it comes with vxn, as does this program: install it there",
    ));
    findings.push(file(
        "initramfs",
        &settings.initramfs.value,
        "make it with `cargo xtask initramfs` and install it there",
    ));
    findings.push(guest_kernel(settings));
    findings.push(root_disks(settings));
    findings.push(directory("state", &settings.root.value));
    findings.push(directory("run", &settings.run.value));
    findings
}

fn privileges() -> Finding {
    const NAME: &str = "root";
    match Uid::effective() {
        uid if uid.is_root() => Finding::ok(NAME, "yes"),
        uid => Finding::missing(NAME, format!("this is user {uid}"), "run vxn as root: sudo vxn …"),
    }
}

fn privcmd() -> Finding {
    let device = Path::new("/dev/xen/privcmd");
    match OpenOptions::new().read(true).write(true).open(device) {
        Ok(_) => Finding::ok("privcmd", device.display().to_string()),
        Err(e) => Finding::missing(
            "privcmd",
            format!("{}: {e}", device.display()),
            "boot into Xen, as its Dom0 (Debian: apt install xen-system-amd64, then choose Xen \
             in GRUB; Yocto: IMAGE_INSTALL += \"xen xen-tools\"), and modprobe xen-privcmd",
        ),
    }
}

fn xenstored() -> Finding {
    match Xenstore::open() {
        Ok(_) => Finding::ok("xenstored", "answers"),
        Err(e) => Finding::missing(
            "xenstored",
            e.to_string(),
            "Debian: systemctl start xen (package xen-utils-common); Yocto: IMAGE_INSTALL += \
             \"xen-tools-xenstored\"",
        ),
    }
}

/// It makes the terminals without which libxl does not finish a domain.
fn xenconsoled(root: &Path) -> Finding {
    const NAME: &str = "xenconsoled";
    let processes = fs::read_dir(root.join("proc")).into_iter().flatten().flatten();
    let runs = processes
        .filter_map(|process| fs::read(process.path().join("comm")).ok())
        .any(|comm| comm.trim_ascii_end() == NAME.as_bytes());
    if runs {
        return Finding::ok(NAME, "runs");
    }
    Finding::missing(
        NAME,
        "does not run",
        "Debian: systemctl start xen (package xen-utils-common); Yocto: IMAGE_INSTALL += \
         \"xen-tools-xenconsoled\"",
    )
}

/// What the hypervisor says: its version, what guests it can run, its memory.
fn hypervisor() -> Vec<Finding> {
    match Ctx::open().and_then(|ctx| ctx.host()) {
        Ok(host) => vec![guests(&host), dom0_mem(&host)],
        Err(e) => vec![Finding::missing("Xen", e.to_string(), "see the lines above")],
    }
}

fn guests(host: &HostInfo) -> Finding {
    let pvh = host.hvm && host.hap;
    let kinds = match (host.pv, pvh) {
        (true, true) => "PV and PVH",
        (true, false) => "PV",
        (false, true) => "PVH",
        (false, false) => {
            return Finding::missing(
                "Xen",
                format!("version {}, runs no guests", host.xen_version),
                "switch on the virtualisation extensions in the firmware, or use a Xen with PV",
            );
        }
    };
    Finding::ok("Xen", format!("version {}, runs {kinds} guests", host.xen_version))
}

/// vxn never takes memory away from Dom0.
fn dom0_mem(host: &HostInfo) -> Finding {
    let free = host.free_memory_kib / 1024;
    if host.commandline.split(' ').any(|word| word.starts_with("dom0_mem=")) {
        return Finding::ok("dom0_mem", format!("is set, {free} MiB are free for guests"));
    }
    let detail = format!("is not set: Dom0 has all memory but {free} MiB");
    let hint = "put dom0_mem=2G,max:2G on Xen's command line (Debian: GRUB_CMDLINE_XEN_DEFAULT in \
                /etc/default/grub, then update-grub; Yocto: the boot loader's configuration) and \
                reboot";
    Finding::missing("dom0_mem", detail, hint).optional()
}

fn module(root: &Path, Module(name, evidence, required): &Module) -> Finding {
    let finding = if root.join(evidence).exists() || is_built_in(root, name) {
        Finding::ok(*name, "is there")
    } else {
        let hint = format!(
            "modprobe {name}, and for every boot: echo {name} >> /etc/modules-load.d/vxn.conf \
             (Yocto: IMAGE_INSTALL += \"kernel-module-{}\")",
            name.replace('_', "-")
        );
        Finding::missing(*name, format!("/{evidence} does not exist"), hint)
    };
    if *required { finding } else { finding.optional() }
}

/// A module that is part of the kernel may have no directory in /sys.
fn is_built_in(root: &Path, name: &str) -> bool {
    let read = |path: PathBuf| fs::read_to_string(path).unwrap_or_default();
    let release = read(root.join("proc/sys/kernel/osrelease"));
    let list = read(root.join("lib/modules").join(release.trim_end()).join("modules.builtin"));
    let wanted = name.replace('_', "-");
    list.lines()
        .filter_map(|line| Path::new(line).file_stem()?.to_str())
        .any(|module| module.replace('_', "-") == wanted)
}

fn program(name: &str, hint: &str) -> Finding {
    let path = env::var_os("PATH").unwrap_or_default();
    match find_program(&path, name) {
        Some(path) => Finding::ok(name, path.display().to_string()),
        None => Finding::missing(name, "is not in $PATH", hint),
    }
}

fn find_program(path: &OsStr, name: &str) -> Option<PathBuf> {
    env::split_paths(path)
        .map(|dir| dir.join(name))
        .find(|file| file.is_file() && access(file, AccessFlags::X_OK).is_ok())
}

fn file(name: &str, path: &Path, hint: &str) -> Finding {
    match fs::File::open(path) {
        Ok(_) => Finding::ok(name, path.display().to_string()),
        Err(e) => Finding::missing(name, format!("{}: {e}", path.display()), hint),
    }
}

/// Tried in earnest: what this unpacks is what the first container would wait for.
fn guest_kernel(settings: &Settings) -> Finding {
    const NAME: &str = "guest kernel";
    const HINT: &str = "Debian: apt install linux-image-amd64; Yocto: IMAGE_INSTALL += \
                        \"kernel-image\"; or name one with --kernel, VXN_KERNEL or kernel = in \
                        /etc/vxn/vxn.toml";
    match kernel::prepare(&settings.kernel.value, &settings.kernels(), &settings.tmp()) {
        Ok(info) => {
            let kinds = match (info.pv, info.pvh) {
                (true, true) => "PV and PVH",
                (true, false) => "PV",
                _ => "PVH",
            };
            Finding::ok(NAME, format!("{}, boots as {kinds}", settings.kernel.value.display()))
        }
        Err(e) => Finding::missing(NAME, e.to_string(), HINT),
    }
}

/// What the next image's root disk will be.
fn root_disks(settings: &Settings) -> Finding {
    const NAME: &str = "root disks";
    match root_disk::outlook(settings) {
        Ok(kind) => Finding::ok(NAME, kind),
        Err(e) => Finding::missing(
            NAME,
            e.root_cause().to_string(),
            "root_disk = \"auto\" in /etc/vxn/vxn.toml takes what there is",
        ),
    }
}

/// A directory that is there and can be written to, or could be made.
fn directory(name: &str, path: &Path) -> Finding {
    let there = path.ancestors().find(|dir| dir.exists()).unwrap_or(path);
    match access(there, AccessFlags::W_OK) {
        Ok(()) => Finding::ok(name, path.display().to_string()),
        Err(e) => {
            let detail = format!("{} is not writable: {}", there.display(), e.desc());
            Finding::missing(name, detail, "run vxn as root, on a file system that is mounted rw")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_are_found_loaded_built_in_or_not() {
        let root = tempfile::tempdir().unwrap();
        let dir = |path: &str| fs::create_dir_all(root.path().join(path)).unwrap();
        let write = |path: &str, text: &str| fs::write(root.path().join(path), text).unwrap();
        let look = |name| {
            let module = MODULES.iter().find(|Module(n, ..)| *n == name).unwrap();
            self::module(root.path(), module)
        };
        dir("sys/bus/xen-backend/drivers/vbd");
        dir("proc/sys/kernel");
        dir("lib/modules/6.1.0");
        write("proc/sys/kernel/osrelease", "6.1.0\n");
        write("lib/modules/6.1.0/modules.builtin", "kernel/drivers/block/loop.ko\n");
        assert!(look("xen-blkback").ok);
        assert!(look("loop").ok);
        let lost = look("xen-gntalloc");
        assert!(!lost.ok && lost.required);
        assert_eq!(lost.detail, "/dev/xen/gntalloc does not exist");
        assert!(lost.hint.unwrap().starts_with("modprobe xen-gntalloc,"));
        assert!(!look("nf_tables").required);
    }

    #[test]
    fn a_daemon_is_found_by_its_name() {
        let root = tempfile::tempdir().unwrap();
        assert!(!xenconsoled(root.path()).ok);
        fs::create_dir_all(root.path().join("proc/17")).unwrap();
        fs::write(root.path().join("proc/17/comm"), "xenconsoled\n").unwrap();
        assert!(xenconsoled(root.path()).ok);
    }

    #[test]
    fn programs_are_found_in_the_path() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("tool"), "").unwrap();
        assert_eq!(find_program(dir.path().as_os_str(), "tool"), None);
        assert!(find_program(OsStr::new("/nowhere:/bin"), "sh").is_some());
    }

    #[test]
    fn memory_for_dom0_is_looked_for_on_the_command_line() {
        let mut host = HostInfo {
            max_cpu: 1,
            xen_version: "4.17.5".to_owned(),
            commandline: "placeholder dom0_mem=1536M,max:1536M".to_owned(),
            hvm: true,
            pv: true,
            hap: false,
            total_memory_kib: 1 << 22,
            free_memory_kib: 1 << 21,
            nr_cpus: 2,
        };
        assert_eq!(dom0_mem(&host).detail, "is set, 2048 MiB are free for guests");
        assert_eq!(guests(&host).detail, "version 4.17.5, runs PV guests");
        host.commandline = "xdom0_mem=1".to_owned();
        assert!(!dom0_mem(&host).ok && !dom0_mem(&host).required);
    }
}
