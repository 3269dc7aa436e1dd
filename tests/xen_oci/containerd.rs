//! Debian's own containerd, unpatched, and its `ctr`.

use testbed::Running;

use crate::{Host, PATIENT, RUNTIME, host};

/// A container of the small image.
fn run(words: &str) -> String {
    format!("ctr run --runc-binary {RUNTIME} {words}")
}

/// Until the container `web` is nobody's task that runs.
const ENDED: &str = "while ctr task ls | grep -q 'web.*RUNNING'; do sleep 0.1; done; ctr task ls";

impl Host {
    /// A service whose log says `ready` when it is; [`end`] ends it.
    pub fn service(&self, program: &str, ready: &str) -> Running<'_> {
        let log = format!("/tmp/{program}.log");
        self.ok(&format!("rm -f {log}"));
        let running = self.shell(&format!("exec {program} >{log} 2>&1")).spawn().unwrap();
        self.wait_for(&log, ready);
        running
    }

    /// containerd, which has the small image.
    fn containerd(&self) -> Running<'_> {
        let running = self.service("containerd", "successfully booted");
        self.ok("ctr images ls -q | grep -q small || \
                 tar -C /srv/images/busybox -c . | ctr images import --base-name small -");
        running
    }
}

/// Ends a service.
pub fn end(service: Running<'_>) {
    service.signal(15).unwrap();
    service.wait().unwrap();
}

#[test]
fn ctr_runs_a_container_to_its_end() {
    let Some(host) = host() else { return };
    let containerd = host.containerd();
    let both = host.run(&run("--rm small:latest one sh -c 'echo out; echo err >&2; exit 42'"));
    assert_eq!((both.code, both.text().as_str()), (42, "out"), "{both}");
    assert_eq!(both.error_text().trim_end(), "err");
    host.fails(1, "executable file not found in $PATH", &run("--rm small:latest one nosuch"));
    let mut pty = host.shell(&run("-t --rm small:latest one sh")).spawn_pty().unwrap();
    pty.expect("# ").unwrap();
    pty.send("test -t 2 && echo all''right; exit 6\r").unwrap();
    pty.expect("allright").unwrap();
    assert_eq!(pty.wait().unwrap(), 6);
    end(containerd);
    host.clean();
}

#[test]
fn ctr_has_a_task_that_outlives_containerd_and_not_its_shim() {
    let Some(host) = host() else { return };
    let containerd = host.containerd();
    let start = run(&format!("-d small:latest web sh -c \"{PATIENT}\""));
    let tasks = || host.ok("ctr task ls | grep web");
    host.ok(&start);
    assert!(tasks().contains("RUNNING"));
    let pid = host.ok("ctr task ls | awk '/web/ { print $2 }'");
    assert_eq!(host.ok(&format!("cat /proc/{pid}/cgroup")), "0::/default/web");
    assert_eq!(host.ok("echo text | ctr task exec --exec-id one web cat"), "text");
    host.fails(9, "err", "ctr task exec --exec-id two web sh -c 'echo err >&2; exit 9'");
    host.ok("ctr task exec -d --exec-id three web sleep 1000");
    host.ok("ctr task kill --exec-id three -s SIGKILL web");
    host.ok("ctr task pause web");
    assert!(tasks().contains("PAUSED"));
    host.ok("ctr task resume web");

    end(containerd);
    let containerd = host.containerd();
    assert!(tasks().contains("RUNNING"));
    host.fails(1, "cannot delete a non stopped", "ctr container delete web");
    host.ok("ctr task kill web");
    assert!(host.ok(ENDED).contains("STOPPED"));
    let deleted = host.run("ctr task delete web").success().unwrap();
    assert!(deleted.error_text().contains("exit code 5"), "{deleted}");
    host.ok("ctr container delete web");

    // Who stands between it and the container is killed: it clears up by the runtime.
    host.ok(&start);
    host.ok("pkill -9 containerd-shim");
    host.ok("while [ -e /run/containerd/runc/default/web ]; do sleep 0.1; done");
    assert!(!host.ok(ENDED).contains("RUNNING"));
    host.ok("ctr container delete web");
    end(containerd);
    host.clean();
}
