//! Other processes in a container, and staying with the main one.

use std::time::Instant;

use crate::{PATIENCE, PATIENT, TICKING, host};

#[test]
fn exec_is_like_run_in_what_is_there() {
    let Some(host) = host() else { return };
    host.start("box", ["--hostname", "box", "-e", "OWN=1", "-w", "/srv"], PATIENT);
    let script = "echo out; echo err >&2; hostname; pwd; echo $OWN $NEW; id -u; exit 9";
    let exec = host.vxn(["exec", "-e", "NEW=2", "-u", "user", "box", "sh", "-c", script]);
    let output = exec.run().unwrap();
    assert_eq!(output.code, 9, "{output}");
    assert_eq!(
        (output.text().as_str(), output.error_text().as_str()),
        ("out\nbox\n/srv\n1 2\n1000", "err\n")
    );
    assert_eq!(host.ok(["exec", "-w", "/tmp", "box", "pwd"]), "/tmp");
    let capabilities = ["exec", "box", "grep", "CapEff", "/proc/self/status"];
    assert_eq!(host.ok(capabilities), "CapEff:\t00000000a80425fb");
    host.fails(127, "not found", ["exec", "box", "nosuch"]);
    host.fails(126, "permission denied", ["exec", "box", "/fixtures/not-executable"]);
    host.ok(["exec", "-d", "box", "sh", "-c", "echo $$ >/pid; exec sleep 1000"]);
    assert_ne!(host.ok(["exec", "box", "cat", "/pid"]), "");
    host.ok(["stop", "box"]);
    host.fails(1, "not running", ["exec", "box", "true"]);
    host.clean(["box"]);
}

#[test]
fn bytes_go_in_and_out_whole() {
    let Some(host) = host() else { return };
    host.start("pipe", [], PATIENT);
    let bytes: Vec<u8> = (0..3_000_000_u32).map(|n| (n ^ (n >> 7) ^ (n >> 15)) as u8).collect();
    let exec = host.vxn(["exec", "-i", "pipe", "cat"]).stdin(bytes.clone());
    let output = exec.run().unwrap().success().unwrap();
    assert!(output.stdout == bytes, "{} bytes came back", output.stdout.len());
    assert_eq!(host.vxn(["exec", "pipe", "cat"]).stdin("unread").run().unwrap().text(), "");
    let head = host.dom0.shell("vxn exec pipe yes | head -1").unwrap();
    assert_eq!(head.text(), "y");
    host.clean(["pipe"]);
}

#[test]
fn an_exec_that_is_killed_leaves_the_container_alone() {
    let Some(host) = host() else { return };
    host.start("calm", [], PATIENT);
    let exec = host.vxn(["exec", "calm", "sh", "-c", "echo in; yes"]).spawn().unwrap();
    assert!(exec.stdout.wait_for(b"in", Instant::now() + PATIENCE));
    exec.signal(9).unwrap();
    exec.wait().unwrap();
    assert_eq!(host.ok(["exec", "calm", "echo", "well"]), "well");
    host.clean(["calm"]);
}

#[test]
fn attach_has_the_output_and_the_code() {
    let Some(host) = host() else { return };
    host.start("main", [], TICKING);
    let attached = [host.attach(["main"]), host.attach(["--no-stdin", "main"])];
    host.ok(["stop", "main"]);
    for attached in attached {
        let output = attached.wait().unwrap();
        assert_eq!(output.code, 5, "{output}");
        assert!(output.text().ends_with("tick\nasked"), "{output}");
    }
    host.clean(["main"]);
}
