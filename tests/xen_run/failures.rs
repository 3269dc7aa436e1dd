//! What can be missing: each time one line, a hint, 125, and nothing left.

use crate::{Alone, BUSYBOX, alone, vxn};

/// Runs with `args`, expects vxn's own failure that names `what`.
#[track_caller]
fn fails(host: &Alone<'_>, args: &[&str], what: &str) {
    let output = vxn(host.dom0, []).args(args).run().unwrap();
    failed(host, &output, what);
}

#[track_caller]
fn failed(host: &Alone<'_>, output: &testbed::Output, what: &str) {
    assert_eq!(output.code, 125, "{output}");
    assert!(output.stdout.is_empty(), "{output}");
    let text = output.error_text();
    let line = text.lines().find(|l| l.starts_with("vxn: ")).unwrap_or_default();
    assert!(line.contains(what), "no {what:?} in {line:?}: {output}");
    assert!(text.lines().any(|l| l.starts_with("hint: ")), "no hint: {output}");
    host.assert_as_found(what);
}

#[test]
fn missing_files() {
    let Some(host) = alone() else { return };
    fails(&host, &["--kernel", "/no/kernel", BUSYBOX, "true"], "/no/kernel");
    fails(&host, &["--kernel", "/etc/hostname", BUSYBOX, "true"], "not a kernel");
    fails(&host, &["--initramfs", "/no/initramfs", BUSYBOX, "true"], "/no/initramfs");
    fails(&host, &["oci:/no/image", "true"], "/no/image");
    fails(&host, &["docker://127.0.0.1:1/no/image", "true"], "127.0.0.1:1");
}

#[test]
fn not_enough_memory() {
    let Some(host) = alone() else { return };
    fails(&host, &["-m", "900G", BUSYBOX, "true"], "not enough memory");
}

#[test]
fn a_full_disk() {
    let Some(host) = alone() else { return };
    host.dom0
        .shell("mkdir -p /mnt/tiny && mount -t tmpfs -o size=256k tmpfs /mnt/tiny")
        .unwrap()
        .success()
        .unwrap();
    let output = vxn(host.dom0, [BUSYBOX, "true"]).env("VXN_ROOT", "/mnt/tiny").run().unwrap();
    let left =
        host.dom0.shell("find /mnt/tiny/tmp -name 'work-*' | wc -l; umount /mnt/tiny").unwrap();
    assert_eq!(left.text(), "0", "{left}");
    failed(&host, &output, "space");
}

/// Hides a file for the time of one run.
#[track_caller]
fn without(host: &Alone<'_>, path: &str, what: &str) {
    let aside = format!("{path}.aside");
    host.dom0.run(["mv", path, &aside]).unwrap().success().unwrap();
    let output = vxn(host.dom0, [BUSYBOX, "true"]).run().unwrap();
    host.dom0.run(["mv", &aside, path]).unwrap().success().unwrap();
    failed(host, &output, what);
}

#[test]
fn no_xen_and_no_xenstored() {
    let Some(host) = alone() else { return };
    without(&host, "/dev/xen/privcmd", "Xen");
    let socket =
        host.dom0.shell("readlink -f /run/xenstored/socket /var/run/xenstored/socket | head -1");
    without(&host, &socket.unwrap().text(), "xenstored");
}

#[test]
fn not_root() {
    let Some(host) = alone() else { return };
    let words = ["setpriv", "--reuid=1000", "--regid=1000", "--clear-groups"];
    let run = host.dom0.command(words).args(["vxn", "run", BUSYBOX, "true"]);
    failed(&host, &run.run().unwrap(), "root");
}

#[test]
fn bad_words_on_the_command_line() {
    let Some(host) = alone() else { return };
    let cases: [&[&str]; 6] = [
        &["--memory", "lots", BUSYBOX],
        &["--no-such-flag", BUSYBOX],
        &["--network", "host", BUSYBOX],
        &["--type", "hvm", BUSYBOX],
        &["--name", "../x", BUSYBOX],
        &[],
    ];
    for args in cases {
        let output = host.dom0.command(["vxn", "run"]).args(args).run().unwrap();
        assert_eq!(output.code, 125, "{output}");
        assert!(output.stdout.is_empty() && !output.stderr.is_empty(), "{output}");
    }
    host.assert_as_found("bad words");
}
