//! What system calls the processes may make.

use crate::{BUSYBOX, Host, host};

/// One call with docker's error and one with an error of its own.
const PROFILE: &str = r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
    {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO"},
    {"names": ["chmod", "fchmodat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 28}]}"#;

/// The number in `/proc/self/status`: 0 without a filter, 2 with one.
const MODE: &str = "awk '/^Seccomp:/ { print $2 }' /proc/self/status";

fn write(host: &Host, file: &str, text: &str) {
    host.dom0.command(["sh", "-c", &format!("cat >{file}")]).stdin(text).run().unwrap();
}

#[test]
fn a_profile_confines_every_process() {
    let Some(host) = host() else { return };
    write(&host, "/tmp/profile.json", PROFILE);
    let script =
        format!("{MODE}; mkdir /new 2>&1; chmod 700 /tmp 2>&1; echo ready; exec sleep 1000");
    host.start("confined", ["--security-opt=seccomp=/tmp/profile.json"], &script);
    host.wait_for("confined", "ready");
    let logs = host.ok(["logs", "confined"]);
    let lines: Vec<_> = logs.lines().collect();
    assert!(lines[0] == "2" && lines[1].ends_with("Operation not permitted"), "{logs}");
    assert!(lines[2].ends_with("No space left on device"), "{logs}");
    host.fails(1, "Operation not permitted", ["exec", "confined", "mkdir", "/new"]);
    let user = "grep -E '^(CapEff|NoNewPrivs|Seccomp):' /proc/self/status | cut -f2";
    let seen = host.ok(["exec", "-u", "1000", "confined", "sh", "-c", user]);
    assert_eq!(seen, "0000000000000000\n0\n2");
    let inspected = host.ok(["inspect", "confined"]);
    assert!(inspected.contains("\"seccomp=/tmp/profile.json\""), "{inspected}");
    host.fails(127, "executable file not found", ["exec", "confined", "nosuch"]);
    host.ok(["stop", "-t", "0", "confined"]);
    // It is the container's: the file is read when it is made.
    host.dom0.shell("rm /tmp/profile.json").unwrap();
    host.ok(["start", "confined"]);
    host.fails(1, "Operation not permitted", ["exec", "confined", "mkdir", "/new"]);
    host.clean(["confined"]);
}

#[test]
fn a_profile_is_the_settings_unless_the_flags_say_otherwise() {
    let Some(host) = host() else { return };
    let run = |flags: &[&str]| {
        let run = host.vxn(["run", "--rm", "-m", "160M", "--network", "none"]);
        let run = run.env("VXN_SECCOMP", "builtin").args(flags);
        let script = format!("{MODE}; mkdir /new && chmod 700 /new && echo well");
        run.args([BUSYBOX, "sh", "-c", &script]).run().unwrap().success().unwrap().text()
    };
    assert_eq!(run(&[]), "2\nwell");
    assert_eq!(run(&["--security-opt=seccomp=unconfined"]), "0\nwell");
    assert_eq!(run(&["--privileged"]), "0\nwell");
    let with = |profile: &'static str| ["run", "--rm", profile, BUSYBOX, "true"];
    let missing = "opening seccomp profile (/nowhere.json) failed: No such file";
    host.fails(125, missing, with("--security-opt=seccomp=/nowhere.json"));
    let wrong = "decoding seccomp profile (/etc/hostname) failed";
    host.fails(125, wrong, with("--security-opt=seccomp=/etc/hostname"));
    host.clean([]);
}
