//! What a container writes.

use crate::{BUSYBOX, alone, host};

#[test]
fn writes_survive_stop_and_start_and_end_with_rm() {
    let Some(host) = host() else { return };
    // Nothing is synced by the process: that is the guest's business at its end.
    let script = "if [ -e /etc/mark ]; then cat /etc/mark; ls -l /data | cut -c1-10; \
                  md5sum </data; else head -c 5000000 /dev/urandom >/data; chmod 640 /data; \
                  md5sum </data; rm /fixtures/script; echo kept >/etc/mark; fi";
    host.start("disk", [], script);
    host.ok(["wait", "disk"]);
    let sum = host.ok(["logs", "disk"]);
    let again = host.ok(["start", "-a", "disk"]);
    assert_eq!(again, format!("kept\n-rw-r-----\n{sum}"));
    let disk = host.field("disk", "{{.Xen.LayerDisk}}");
    let blocks = host.dom0.run(["stat", "-c", "%s %b", &disk]).unwrap().text();
    let (size, blocks) = blocks.split_once(' ').unwrap();
    assert_eq!(size, "10737418240");
    assert!(blocks.parse::<u64>().unwrap() * 512 < 200 << 20, "{blocks} blocks");
    host.ok(["rm", "disk"]);
    assert_eq!(host.dom0.run(["test", "-e", &disk]).unwrap().code, 1);
    host.clean([]);
}

#[test]
fn a_container_of_which_the_monitor_is_killed_keeps_what_was_synced() {
    let Some(host) = alone() else { return };
    host.start("cut", [], "echo safe >/safe; sync; echo synced; exec sleep 1000");
    host.wait_for("cut", "synced");
    let pid = host.field("cut", "{{.State.Pid}}");
    host.dom0.run(["kill", "-KILL", &pid]).unwrap().success().unwrap();
    assert_eq!(host.ok(["ps", "-q"]), "");
    host.ok(["rename", "cut", "back"]);
    host.start("other", ["--rm"], "exec sleep 1000");
    host.ok(["start", "back"]);
    assert_eq!(host.ok(["exec", "back", "cat", "/safe"]), "safe");
    host.clean(["back", "other"]);
}

#[test]
fn a_full_disk_is_the_containers_own_trouble() {
    let Some(host) = host() else { return };
    let script = "dd if=/dev/zero of=/big bs=64k count=1600; wc -c </big; df -k / | tail -1 | awk '{print $2}'";
    let args =
        ["run", "-m", "160M", "--name", "full", "--storage-size", "32M", BUSYBOX, "sh", "-c"];
    let output = host.vxn(args).args([script]).run().unwrap().success().unwrap();
    assert!(output.error_text().contains("No space left"), "{output}");
    let text = output.text();
    let (written, size) = text.split_once('\n').unwrap();
    assert!(written.parse::<u64>().unwrap() < 32 << 20, "{output}");
    assert!(size.parse::<u64>().unwrap() < 32 << 10, "{output}");
    host.fails(1, "--storage-size", ["create", "--storage-size", "1M", BUSYBOX, "true"]);
    host.clean(["full"]);
}

#[test]
fn read_only_and_tmpfs() {
    let Some(host) = host() else { return };
    let script = "echo x >/x; echo y >/scratch/y && cat /scratch/y; cat /etc/hostname; \
                  grep -o 'tmpfs /scratch tmpfs.*size=[0-9]*k' /proc/mounts";
    let flags = ["--read-only", "--tmpfs", "/scratch:size=1m", "--hostname", "box"];
    let run = host.vxn(["run", "--rm", "-m", "160M"]).args(flags);
    let output = run.args([BUSYBOX, "sh", "-c", script]).run().unwrap().success().unwrap();
    assert!(output.error_text().contains("Read-only file system"), "{output}");
    let text = output.text();
    assert!(text.starts_with("y\nbox\ntmpfs /scratch"), "{output}");
    assert!(text.ends_with("size=1024k"), "{output}");
    host.clean([]);
}
