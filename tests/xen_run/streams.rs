//! Bytes in and out.

use crate::{BUSYBOX, TYPES, shared, vxn};

const MIB: usize = 1 << 20;

/// Bytes without a pattern that a mistake could hide in.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    (0..length).map(|_| next()).collect()
}

#[test]
fn stdin_comes_back_whole() {
    let Some(host) = shared() else { return };
    let bytes = noise(5 * MIB);
    for kind in TYPES {
        let run = vxn(host.dom0, ["--rm", "-i", "--type", kind, BUSYBOX, "cat"]);
        let output = run.stdin(bytes.clone()).run().unwrap().success().unwrap();
        assert!(output.stdout == bytes, "{} of {} bytes", output.stdout.len(), bytes.len());
    }
}

#[test]
fn without_i_there_is_no_stdin() {
    let Some(host) = shared() else { return };
    let run = vxn(host.dom0, ["--rm", BUSYBOX, "cat"]).stdin("never read");
    assert_eq!(run.run().unwrap().success().unwrap().stdout, b"");
}

#[test]
fn stdout_and_stderr_stay_apart_and_unfinished_lines_too() {
    let Some(host) = shared() else { return };
    let script = "printf out; printf err >&2; printf ' more'";
    for kind in TYPES {
        let run = vxn(host.dom0, ["--rm", "--type", kind, BUSYBOX, "sh", "-c", script]);
        let output = run.run().unwrap();
        assert_eq!((&*output.stdout, &*output.stderr), (&b"out more"[..], &b"err"[..]), "{output}");
    }
}

#[test]
fn twenty_megabytes_of_noise_come_out_whole() {
    let Some(host) = shared() else { return };
    for kind in TYPES {
        let script = "head -c 20971520 /dev/urandom >/tmp/n; sha256sum </tmp/n >&2; cat /tmp/n";
        let run = format!("vxn run --rm --type {kind} {BUSYBOX} sh -c '{script}' | sha256sum");
        let line = format!("set -o pipefail; {run}");
        let output = host.dom0.command(["bash", "-c", &line]).timeout(crate::PATIENCE).run();
        let output = output.unwrap().success().unwrap();
        assert_eq!(output.text(), output.error_text().trim_end(), "{output}");
        assert_eq!(output.text().len(), 64 + 3);
    }
}

#[test]
fn output_arrives_as_it_comes() {
    let Some(host) = shared() else { return };
    // The process waits for an answer to what it wrote: buffering would hang it.
    let script = "echo question; read answer; echo got $answer";
    let line = format!(
        "rm -f /tmp/ask /tmp/out; mkfifo /tmp/ask /tmp/out; \
         vxn run --rm -i --type pv {BUSYBOX} sh -c '{script}' </tmp/ask >/tmp/out & \
         exec 3>/tmp/ask 4</tmp/out; read q <&4; echo \"$q\"; echo yes >&3; read a <&4; echo \"$a\"; \
         exec 3>&- 4<&-; wait; rm /tmp/ask /tmp/out"
    );
    let output = host.dom0.command(["sh", "-c", &line]).timeout(crate::PATIENCE).run().unwrap();
    assert_eq!(output.success().unwrap().text(), "question\ngot yes");
}

#[test]
fn a_reader_that_leaves_ends_the_writer() {
    let Some(host) = shared() else { return };
    let line = format!("vxn run --rm --type pv {BUSYBOX} yes | head -1");
    let output = host.dom0.command(["sh", "-c", &line]).timeout(crate::PATIENCE).run().unwrap();
    assert_eq!(output.success().unwrap().text(), "y");
}

#[test]
fn a_slow_reader_of_stdout_holds_up_no_stderr() {
    let Some(host) = shared() else { return };
    // Nobody reads stdout until stderr has come through: 1 MiB fills every
    // window and pipe on the way.
    let script = "head -c 1048576 /dev/zero & sleep 1; echo free >&2; wait";
    let line = format!(
        "rm -f /tmp/slow /tmp/fast; mkfifo /tmp/slow /tmp/fast; \
         vxn run --rm --type pv {BUSYBOX} sh -c '{script}' >/tmp/slow 2>/tmp/fast & \
         exec 3</tmp/slow 4</tmp/fast; read line <&4; echo $line; wc -c <&3; wait; \
         rm /tmp/slow /tmp/fast"
    );
    let output = host.dom0.command(["sh", "-c", &line]).timeout(crate::PATIENCE).run().unwrap();
    assert_eq!(output.success().unwrap().text(), "free\n1048576");
}
