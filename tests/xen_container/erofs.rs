//! EROFS root disks, made in Dom0 by the erofs-utils of a newer Debian, and what becomes
//! of them.

use testbed::Command;

use crate::{BUSYBOX, Host, host};

const UTILS: &str = "/opt/erofs";

impl Host {
    /// Puts mkfs.erofs into Dom0, not where other tests find it.
    fn put_erofs_utils(&self) {
        let bin = testbed::erofs::utils("trixie").unwrap();
        let mut archive = tar::Builder::new(Vec::new());
        archive.follow_symlinks(false);
        let dir = bin.parent().unwrap();
        archive.append_dir_all("bin", &bin).unwrap();
        for part in ["usr/bin", "usr/lib/x86_64-linux-gnu"] {
            archive.append_dir_all(format!("root/{part}"), dir.join("root").join(part)).unwrap();
        }
        self.dom0.write("/tmp/erofs.tar", archive.into_inner().unwrap()).unwrap();
        let unpack =
            format!("mkdir {UTILS} && tar -xf /tmp/erofs.tar -C {UTILS}; rm /tmp/erofs.tar");
        self.dom0.shell(&unpack).unwrap().success().unwrap();
    }

    fn with_erofs<const N: usize>(&self, args: [&str; N]) -> Command<'_> {
        let path = format!("{UTILS}/bin:/usr/sbin:/usr/bin:/sbin:/bin");
        self.vxn(args).env("PATH", path).env("VXN_ROOT_DISK", "erofs")
    }

    /// Which disk of the store the guest of a container has as its first.
    fn first_disk(&self, name: &str) -> String {
        let domid = self.field(name, "{{.Xen.DomId}}");
        let node = format!("/local/domain/0/backend/vbd/{domid}/51712/params");
        let params = self.dom0.run(["xenstore-read", &node]).unwrap().success().unwrap().text();
        let loops = format!("readlink -f {params}; losetup -n -O BACK-FILE {params} || true");
        self.dom0.shell(&loops).unwrap().text()
    }
}

#[test]
fn an_erofs_root_and_a_later_kernel_that_cannot_mount_it() {
    let Some(host) = host() else { return };
    host.put_erofs_utils();
    let says = host.with_erofs(["check"]).run().unwrap().text();
    let line = says.lines().find(|line| line.contains("root disks")).unwrap();
    assert!(line.ends_with("EROFS") && line.starts_with("ok"), "{line}");

    let script = "if [ -e /kept ]; then cat /kept; else echo new; fi; echo kept >>/kept; \
                  sync; stat -c %a /; exec sleep 1000";
    let run = ["run", "-d", "-m", "160M", "--network", "none", "--name", "rooted", BUSYBOX];
    host.with_erofs(run).args(["sh", "-c", script]).run().unwrap().success().unwrap();
    host.wait_for("rooted", "new\n755");
    let disk = host.field("rooted", "{{.Xen.RootDisk}}");
    assert!(disk.ends_with(".erofs"), "{disk}");
    assert!(host.first_disk("rooted").contains(".erofs"));
    host.ok(["stop", "-t", "1", "rooted"]);

    // The same kernel, whose initramfs has lost the module.
    let spoil = "sed 's/erofs/er0fs/g' /usr/lib/vxn/initramfs.cpio >/tmp/without.cpio";
    host.dom0.shell(spoil).unwrap().success().unwrap();
    let without =
        |args: [&'static str; 2]| host.with_erofs(args).env("VXN_INITRAMFS", "/tmp/without.cpio");
    without(["start", "rooted"]).run().unwrap().success().unwrap();
    host.wait_for("rooted", "kept\n755");
    assert!(host.first_disk("rooted").contains(".squashfs"));
    host.ok(["stop", "-t", "1", "rooted"]);
    let refused = without(["create", BUSYBOX]).run().unwrap();
    assert!(refused.code == 1, "{refused}");
    assert!(refused.error_text().contains("has no EROFS with lz4"), "{refused}");

    // A disk that is gone is made again, of what kind there is now.
    host.dom0.run(["rm", &disk]).unwrap().success().unwrap();
    host.ok(["start", "rooted"]);
    host.wait_for("rooted", "kept\nkept\n755");
    let clear = format!("rm -rf {UTILS} /tmp/without.cpio /var/lib/vxn/disks/*.erofs");
    host.dom0.shell(&clear).unwrap().success().unwrap();
    host.clean(["rooted"]);
}
