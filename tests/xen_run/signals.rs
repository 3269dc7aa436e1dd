//! Signals, time-outs, and a guest that dies.

use std::time::{Duration, Instant};

use testbed::Dom0;

use crate::{Alone, BUSYBOX, PATIENCE, alone, vxn};

const SIGINT: i32 = 2;
const SIGTERM: i32 = 15;

/// Waits until the process in the container has said so.
fn wait_for_output(running: &testbed::Running<'_>, text: &str) {
    assert!(
        running.stdout.wait_for(text.as_bytes(), Instant::now() + PATIENCE),
        "no {text:?} on stdout"
    );
}

fn signalled(dom0: &Dom0, script: &str, signals: &[(&str, i32)]) -> testbed::Output {
    let running = vxn(dom0, ["--rm", BUSYBOX, "sh", "-c", script]).spawn().unwrap();
    for (before, signal) in signals {
        wait_for_output(&running, before);
        running.signal(*signal).unwrap();
    }
    running.wait().unwrap()
}

#[test]
fn signals_reach_the_process() {
    let Some(host) = alone() else { return };
    let trap = "trap 'echo got; exit 3' INT; echo ready; while :; do sleep 1; done";
    let output = signalled(host.dom0, trap, &[("ready", SIGINT)]);
    assert_eq!((output.code, output.text().as_str()), (3, "ready\ngot"), "{output}");
    let output = signalled(host.dom0, "echo ready; exec sleep 1000", &[("ready", SIGTERM)]);
    assert_eq!(output.code, 143, "{output}");
    host.assert_as_found("signals");
}

#[test]
fn a_second_interrupt_ends_what_ignores_the_first() {
    let Some(host) = alone() else { return };
    let trap = "trap 'echo no' INT; echo ready; while :; do sleep 1; done";
    let output = signalled(host.dom0, trap, &[("ready", SIGINT), ("no", SIGINT)]);
    assert_eq!(output.code, 137, "{output}");
    host.assert_as_found("two interrupts");
}

#[test]
fn an_interrupt_during_the_boot_ends_the_run() {
    let Some(host) = alone() else { return };
    let running = vxn(host.dom0, ["--rm", BUSYBOX, "sleep", "1000"]).spawn().unwrap();
    wait_for_domain(&host);
    running.signal(SIGINT).unwrap();
    let output = running.wait().unwrap();
    assert_eq!(output.code, 130, "{output}");
    host.assert_as_found("an early interrupt");
}

/// Until libxl lists a domain besides Dom0; polled in Dom0, at most a minute.
fn wait_for_domain(host: &Alone<'_>) {
    let script =
        "for i in $(seq 600); do [ $(xl list | wc -l) -gt 2 ] && exit; sleep 0.1; done; exit 1";
    host.dom0.shell(script).unwrap().success().unwrap();
}

#[test]
fn a_time_out_kills() {
    let Some(host) = alone() else { return };
    let output = vxn(host.dom0, ["--timeout", "1", BUSYBOX, "sleep", "1000"]).run().unwrap();
    assert_eq!(output.code, 137, "{output}");
    assert!(output.error_text().contains("--timeout 1"), "{output}");
    host.assert_as_found("a time-out");
}

#[test]
fn a_guest_that_panics_is_reported_with_its_last_words() {
    let Some(host) = alone() else { return };
    host.dom0.write("/tmp/no-init.cpio", vec![0; 4096]).unwrap();
    let started = Instant::now();
    let args = ["--initramfs", "/tmp/no-init.cpio", BUSYBOX, "true"];
    let output = vxn(host.dom0, args).run().unwrap();
    assert_eq!(output.code, 125, "{output}");
    let text = output.error_text();
    assert!(text.contains("crash"), "{output}");
    assert!(text.contains("Kernel panic") || text.contains("last words"), "{output}");
    assert!(started.elapsed() < Duration::from_secs(110), "a time-out, not a report");
    host.assert_as_found("a panic");
}

#[test]
fn a_domain_destroyed_by_somebody_else_ends_its_run() {
    let Some(host) = alone() else { return };
    let args = ["--name", "victim", BUSYBOX, "sh", "-c", "echo ready; sleep 1000"];
    let running = vxn(host.dom0, args).spawn().unwrap();
    wait_for_output(&running, "ready");
    host.dom0.run(["vxn", "domain", "destroy", "victim"]).unwrap().success().unwrap();
    let output = running.wait().unwrap();
    assert_eq!(output.code, 137, "{output}");
    host.assert_as_found("a destroyed domain");
}
