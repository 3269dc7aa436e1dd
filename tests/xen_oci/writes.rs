//! What a container has written to its root comes back into the bundle.

use crate::podman::podman;
use crate::{RUNTIME, host};

/// Changes of every kind, to a root that holds `gone`, `old/deep/f` and `file`.
const WRITER: &str = "echo more >>/made; mkdir -p /srv/a; echo x >/srv/a/f; \
                      chmod 4750 /srv/a/f; ln -f /srv/a/f /srv/same; ln -sf /etc/passwd /srv/link; \
                      rm -rf /gone /old /file; mkdir /file; echo deep >/file/in; exit 4";

#[test]
fn a_bundle_gets_back_what_was_written() {
    let Some(host) = host() else { return };
    let dir = host.bundle("back", WRITER);
    host.ok(&format!("cd {dir}/rootfs && mkdir -p old/deep && touch old/deep/f gone file"));
    for lines in 1..=2 {
        assert_eq!(host.run(&format!("vxn oci run -b {dir} back")).code, 4);
        assert_eq!(host.ok(&format!("wc -l <{dir}/rootfs/made")), lines.to_string());
    }
    let look = "test ! -e gone && test ! -e old && cat file/in && stat -c %u:%g:%a:%h srv/a/f \
                && readlink srv/link && ls -A dev proc sys";
    let seen = host.ok(&format!("cd {dir}/rootfs && {look}"));
    assert!(seen.starts_with("deep\n0:0:4750:2\n/etc/passwd\n"), "{seen}");

    // Whoever writes nothing changes nothing, and whoever may not cannot.
    let dir = host.bundle("still", "ls / >/dev/null");
    host.ok(&format!("touch {dir}/now && vxn oci run -b {dir} still"));
    assert_eq!(host.ok(&format!("find {dir}/rootfs -newer {dir}/now")), "");
    let change = "s/\"ls .*\"/\"! echo >\\/f\"/; s/\"readonly\": false/\"readonly\": true/";
    host.ok(&format!(
        "sed -i '{change}' {dir}/config.json && grep -q 'readonly.*true' {dir}/config.json"
    ));
    host.ok(&format!("vxn oci run -b {dir} still"));
    assert_eq!(host.ok(&format!("find {dir}/rootfs -newer {dir}/now")), "");
    host.clean();
}

#[test]
fn what_cannot_come_back_is_told() {
    let Some(host) = host() else { return };
    let dir =
        host.bundle("full", "echo x >/first; dd if=/dev/zero of=/second bs=1M count=16; exit 4");
    host.ok(&format!(
        "cd {dir} && mv rootfs source && mkdir rootfs && mount -t tmpfs -o size=8M none rootfs \
         && cp -a source/. rootfs"
    ));
    host.fails(4, "cannot write back to /tmp/full/rootfs", &format!("vxn oci run -b {dir} full"));
    // Nobody waits for a report: it is on the container's stderr and in the caller's log.
    host.ok(&format!(
        "rm {dir}/rootfs/second; {RUNTIME} --log {dir}/log --log-format json \
         create -b {dir} --pid-file {dir}/pid full </dev/null >/dev/null 2>{dir}/err \
         && {RUNTIME} start full; pid=$(cat {dir}/pid); \
         while [ -d /proc/$pid ]; do sleep 0.1; done; {RUNTIME} delete full"
    ));
    for file in ["err", "log"] {
        let text = host.ok(&format!("cat {dir}/{file}"));
        assert!(text.contains("cannot write back to") && text.contains("No space left"), "{text}");
    }
    assert_eq!(host.ok(&format!("cat {dir}/rootfs/first")), "x");
    host.ok(&format!("umount {dir}/rootfs"));
    host.clean();
}

#[test]
fn podman_sees_what_a_container_has_written() {
    let Some(host) = host() else { return };
    let run = "run --name kept small sh -c 'echo text >>/made; rm -rf /root; mkdir -p /d'";
    host.ok(&podman(run));
    let diff = host.ok(&podman("diff kept"));
    let mut lines: Vec<_> = diff.lines().collect();
    lines.sort_unstable();
    for line in ["A /d", "A /made", "D /root"] {
        assert!(lines.contains(&line), "{diff}");
    }
    host.ok(&podman("cp kept:/made /tmp/made"));
    assert_eq!(host.ok("cat /tmp/made"), "text");
    host.ok(&podman("commit -q kept kept:1"));
    let again = host.ok(&podman("run --rm kept:1 sh -c 'cat /made; test ! -e /root; echo $?'"));
    assert_eq!(again, "text\n0");
    // What is copied into it before it is started again is in it then.
    host.ok(&format!("echo copied >/tmp/made && {}", podman("cp /tmp/made kept:/d/copied")));
    host.ok(&podman("start -a kept || true"));
    host.ok(&podman("cp kept:/made /tmp/made"));
    assert_eq!(host.ok("cat /tmp/made"), "text\ntext");
    host.ok(&podman("cp kept:/d/copied /tmp/made"));
    assert_eq!(host.ok("cat /tmp/made"), "copied");
    host.ok(&podman("rm kept"));
    host.ok(&podman("rmi kept:1"));
    host.clean();
}
