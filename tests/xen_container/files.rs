//! Files in and out of containers, running and not: cp, export, diff, commit.

use crate::{BUSYBOX, Host, PATIENT, host};

impl Host {
    /// What a script says in Dom0; newer containers are PV, as everywhere here.
    #[track_caller]
    fn shell(&self, script: &str) -> String {
        let command = self.dom0.command(["sh", "-ec", script]).env("VXN_TYPE", "pv");
        command.timeout(crate::PATIENCE).run().unwrap().success().unwrap().text()
    }
}

/// A tree of all that is kept, in Dom0.
const TREE: &str = "rm -rf /srv/files; mkdir -p /srv/files/tree/sub; cd /srv/files/tree; \
    head -c 5000000 /dev/urandom >big; echo run >run; chmod 4751 run; ln run same; \
    ln -s /etc/hostname link; echo x >sub/owned; chown 7:8 sub/owned; chmod 500 sub; \
    touch -d '2001-02-03 04:05:06' run";

/// What is kept of it.
const KEPT: &str = "stat -c '%n %a %u %g %Y %F %h' run link sub/owned; readlink link; md5sum <big";

#[test]
fn files_go_both_ways_running_and_stopped() {
    let Some(host) = host() else { return };
    let sums = host.shell(&format!("{TREE}; {KEPT}"));
    host.start("files", [], PATIENT);
    host.ok(["cp", "-a", "-q", "/srv/files/tree", "files:/home"]);
    assert_eq!(host.ok(["exec", "-w", "/home/tree", "files", "sh", "-c", KEPT]), sums);
    both_ways(&host, &sums);
    host.ok(["stop", "files"]);
    let code = host.field("files", "{{.State.Status}} {{.State.ExitCode}}");
    both_ways(&host, &sums);
    // Written while it did not run, there when it does; it has not run meanwhile.
    host.ok(["cp", "-q", "/srv/files/tree/sub/owned", "files:/later"]);
    assert_eq!(host.field("files", "{{.State.Status}} {{.State.ExitCode}}"), code);
    host.ok(["start", "files"]);
    let script = "cat /later; stat -c '%u %g' /later";
    assert_eq!(host.ok(["exec", "files", "sh", "-c", script]), "x\n0 0");
    host.shell("rm -rf /srv/files");
    host.clean(["files"]);
}

/// Out of the container and as a stream back into it, and what cannot be.
fn both_ways(host: &Host, sums: &str) {
    host.shell("rm -rf /srv/files/back");
    host.ok(["cp", "-a", "files:/home/tree", "/srv/files/back"]);
    assert_eq!(host.shell(&format!("cd /srv/files/back; {KEPT}")), sums);
    let pipe = "vxn cp files:/home/tree/. - | tar -tf - | sort | head -3 | tr '\\n' ' '; \
                tar -cC /srv/files/tree . | vxn cp - files:/mnt 2>/dev/null; \
                vxn cp files:/mnt/big - | tar -xOf - | md5sum";
    let expected = format!("./ big link {}", sums.lines().last().unwrap());
    assert_eq!(host.shell(&pipe.replace("/mnt", "/tmp")), expected);
    host.fails(1, "could not find", ["cp", "files:/none", "/srv/files"]);
    host.fails(1, "cannot copy directory", ["cp", "/srv/files/tree", "files:/etc/passwd"]);
    host.fails(1, "no such directory", ["cp", "/srv/files/tree/run", "files:/none/"]);
    host.fails(1, "between containers", ["cp", "files:/a", "files:/b"]);
}

#[test]
fn what_has_changed_is_listed_exported_and_committed() {
    let Some(host) = host() else { return };
    let script =
        "echo new >/home/new; chmod 700 /home/new; rm /fixtures/script; echo more >>/etc/passwd";
    host.start("changed", ["-e", "OWN=1"], &format!("{script}; {PATIENT}"));
    host.wait_for("changed", "ready");
    let running = host.ok(["diff", "changed"]);
    for line in ["A /home/new", "C /fixtures", "D /fixtures/script", "C /etc", "C /etc/passwd"] {
        assert!(running.lines().any(|l| l == line), "{line}: {running}");
    }
    assert!(!running.contains("/etc/host") && !running.contains("/proc"), "{running}");
    let commit = ["commit", "-m", "mine", "-c", "ENV ADDED=2", "changed", "committed:1"];
    assert!(host.ok(commit).starts_with("sha256:"));
    // It goes on where it stood still.
    assert_eq!(host.ok(["exec", "changed", "echo", "well"]), "well");
    host.ok(["stop", "changed"]);
    assert_eq!(host.ok(["diff", "changed"]), running);
    let export = "vxn export -o /srv/export.tar changed; tar -tf /srv/export.tar | \
                  grep -c -e ^home/new$ -e ^etc/passwd$ -e ^fixtures/script$ -e ^proc/.; \
                  tar -xOf /srv/export.tar home/new; rm /srv/export.tar";
    assert_eq!(host.shell(export), "2\nnew");
    host.ok(["container", "commit", "--pause=false", "changed", "committed:2"]);
    for image in ["committed:1", "committed:2"] {
        let script = "cat /home/new; stat -c %a /home/new; ls /fixtures/script; \
                      tail -1 /etc/passwd; echo $OWN $ADDED";
        let run = host.vxn(["run", "--rm", "-m", "160M", "--network", "none"]);
        let output = run.args([image, "sh", "-c", script]).run().unwrap();
        let added = if image == "committed:1" { "1 2" } else { "1" };
        assert_eq!(output.text().trim_end(), format!("new\n700\nmore\n{added}"), "{output}");
        host.ok(["rmi", image]);
    }
    host.clean(["changed"]);
}

#[test]
fn a_helper_has_its_container_for_itself() {
    let Some(host) = host() else { return };
    let create = ["create", "--name", "alone", "-v", "/srv/shared:/data", BUSYBOX, "true"];
    host.ok(create);
    host.shell("mkdir -p /srv/shared");
    // The helper is there for as long as its stdin is open.
    let held = host.vxn(["cp", "-", "alone:/data"]).spawn().unwrap();
    host.shell("until xl list alone >/dev/null 2>&1; do sleep 1; done");
    host.fails(1, "in use", ["export", "-o", "/srv/none.tar", "alone"]);
    host.fails(1, "not running", ["exec", "alone", "true"]);
    assert_eq!(host.field("alone", "{{.State.Status}}"), "created");
    held.signal(9).unwrap();
    held.wait().unwrap();
    host.shell("while xl list alone >/dev/null 2>&1; do sleep 1; done; rm -f /srv/none.tar");
    // What is shared is among its files.
    host.shell("echo here >/srv/one; vxn cp -q /srv/one alone:/data/; cat /srv/shared/one");
    host.shell(
        "vxn cp -q alone:/data/one /srv/two; cat /srv/two; rm -r /srv/shared /srv/one /srv/two",
    );
    host.clean(["alone"]);
}
