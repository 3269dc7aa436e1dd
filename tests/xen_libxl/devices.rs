//! Disks and network interfaces, attached and detached.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use vxn::libxl::{Ctx, Disk, GuestType, Mac, Nic};

use crate::guest::{Does, Guest, config};
use crate::inside;

/// A hotplug script that does what `body` says.
fn script(name: &str, body: &str) -> PathBuf {
    let path = PathBuf::from(format!("/tmp/{name}-{}", std::process::id()));
    fs::write(&path, format!("#!/bin/sh\n{body}\n")).expect("room in /tmp");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("our file");
    path
}

fn disk(vdev: &str, writable: bool, script: &Path) -> Disk {
    let path = format!("/tmp/{vdev}-{}.img", std::process::id());
    File::create(&path).and_then(|f| f.set_len(1 << 20)).expect("room in /tmp");
    Disk { path: path.into(), vdev: vdev.into(), writable, script: Some(script.to_owned()) }
}

#[test]
fn disks_come_and_go() {
    inside::dom0(|| {
        let ctx = Ctx::open().expect("a context");
        let script = script("disk-script", "exit 0");
        let (first, second) = (disk("xvda", false, &script), disk("xvdb", true, &script));
        let mut config = config(GuestType::Pvh, Does::Nothing);
        config.disks = vec![first.clone()];
        let guest = Guest::new(&ctx, &config);
        let id = guest.id;
        ctx.attach_disk(id, &second).expect("it can be attached");
        let listed = |disk: &Disk| Disk { script: None, ..disk.clone() };
        assert_eq!(ctx.disks(id).expect("a list"), [listed(&first), listed(&second)]);
        assert!(ctx.attach_disk(id, &second).is_err(), "the name is taken");
        ctx.detach_disk(id, "xvdb").expect("it can be detached");
        assert_eq!(ctx.disks(id).expect("a list"), [listed(&first)]);
        assert!(ctx.detach_disk(id, "xvdb").is_err(), "it is gone");
    });
}

#[test]
fn a_failing_script_fails_the_creation() {
    inside::dom0(|| {
        let ctx = Ctx::open().expect("a context");
        let script = script("bad-script", "[ $1 = remove ]");
        let mut config = config(GuestType::Pvh, Does::Nothing);
        config.disks = vec![disk("xvda", true, &script)];
        let error = ctx.create_paused(&config).expect_err("the script fails");
        assert!(error.to_string().contains("bad-script"), "{error}");
        assert_eq!(ctx.info_by_name(&config.name).expect("an answer"), None);
    });
}

#[test]
fn interfaces_come_and_go() {
    inside::dom0(|| {
        let ctx = Ctx::open().expect("a context");
        let script = script("nic-script", "exit 0");
        let guest = Guest::paused(&ctx, GuestType::Pvh, Does::Nothing);
        let mac = Mac([0, 0x16, 0x3e, 1, 2, 3]);
        let nic = Nic {
            mac: Some(mac),
            bridge: Some("br7".into()),
            script: Some(script),
            mtu: Some(1400),
            ..Nic::default()
        };
        assert_eq!(ctx.attach_nic(guest.id, &nic).expect("it can be attached"), 0);
        let without_mac = Nic { mac: None, ..nic.clone() };
        assert_eq!(ctx.attach_nic(guest.id, &without_mac).expect("another one"), 1);
        let nics = ctx.nics(guest.id).expect("a list");
        assert_eq!((nics.len(), nics[0].devid, nics[1].devid), (2, 0, 1));
        assert_eq!(nics[0].nic, nic);
        let made_up = nics[1].nic.mac.expect("an address");
        assert_eq!(made_up.0[..3], [0, 0x16, 0x3e], "{made_up}");
        ctx.detach_nic(guest.id, 0).expect("it can be detached");
        let left: Vec<u32> = ctx.nics(guest.id).expect("a list").iter().map(|n| n.devid).collect();
        assert_eq!(left, [1]);
    });
}
