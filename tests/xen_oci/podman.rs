//! Debian's podman, whose containers are DomUs.

use crate::{PATIENT, host};

/// As `share/containers.conf` has it, without systemd.
pub fn podman(words: &str) -> String {
    format!("podman --cgroup-manager cgroupfs --events-backend file {words}")
}

#[test]
fn podman_runs_a_container_to_its_end() {
    let Some(host) = host() else { return };
    let run = |words: &str| host.run(&podman(&format!("run --rm {words}")));
    assert_eq!(run("small echo hello").success().unwrap().text(), "hello");
    let both = run("small sh -c 'echo out; echo err >&2; exit 42'");
    assert_eq!((both.code, both.text().as_str()), (42, "out"), "{both}");
    assert_eq!(both.error_text().trim_end(), "err");
    // podman always has a profile, which leaves what a program needs.
    let mode = "small awk '/^Seccomp:/ { print $2 }' /proc/self/status";
    assert_eq!(run(mode).success().unwrap().text(), "2");
    assert_eq!(run(&format!("--security-opt seccomp=unconfined {mode}")).text(), "0");
    assert_eq!(run("small nosuch").code, 127);
    assert_eq!(run("small /etc").code, 126);
    let input = podman("run --rm -i small cat");
    assert_eq!(host.shell(&input).stdin("input\n").run().unwrap().text(), "input");
    let settings = run("--hostname box -e A=1 -u 5:6 -v /srv/images:/data:ro -v /tmp:/t small \
                        sh -c 'hostname; echo $A; id -u; id -g; ls /data; touch /data/x; echo >/t/p'");
    let text = settings.text();
    assert!(text.starts_with("box\n1\n5\n6\n"), "{settings}");
    assert!(text.contains("busybox") && settings.error_text().contains("Read-only"), "{settings}");
    host.fails(126, "host network is not supported", &podman("run --rm --network host small true"));
    host.clean();
}

#[test]
fn podman_stops_kills_and_executes() {
    let Some(host) = host() else { return };
    host.ok(&podman(&format!("run -d --name web small sh -c \"{PATIENT}\"")));
    assert_eq!(host.ok(&podman("exec web sh -c 'echo in; cat /etc/hostname >/dev/null'")), "in");
    host.fails(9, "", &podman("exec web sh -c 'exit 9'"));
    host.ok(&podman("stop -t 100 web"));
    assert_eq!(host.ok(&podman("wait web")), "5");
    assert!(host.ok(&podman("logs web")).ends_with("asked"));
    host.ok(&podman("rm web"));
    host.ok(&podman("run -d --name web small sleep 1000"));
    host.ok(&podman("kill web"));
    assert_eq!(host.ok(&podman("wait web")), "137");
    host.ok(&podman("rm web"));
    host.clean();
}

#[test]
fn podman_gives_a_terminal() {
    let Some(host) = host() else { return };
    let mut pty = host.shell(&podman("run -it --rm small sh")).spawn_pty().unwrap();
    pty.expect("# ").unwrap();
    pty.send("stty size; test -t 2 && echo all''right\r").unwrap();
    pty.expect("24 80").unwrap();
    pty.expect("allright").unwrap();
    pty.send("exit 6\r").unwrap();
    assert_eq!(pty.wait().unwrap(), 6);
    host.clean();
}
