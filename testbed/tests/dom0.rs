//! The testbed itself: what it carries to Dom0 and back.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use testbed::{HostState, shared};

/// Held by who changes what is on the host, and by who compares it.
static HOST: Mutex<()> = Mutex::new(());

#[test]
fn xen_offers_both_types_of_guest() {
    let Some(dom0) = shared() else { return };
    let info = dom0.run(["xl", "info"]).unwrap().success().unwrap().text();
    assert!(info.contains("xen_version            : 4.17"), "{info}");
    assert!(info.contains("virt_caps              : pv hvm hap"), "{info}");
}

#[test]
fn the_stock_toolstack_starts_a_guest_with_a_disk_and_a_network_interface() {
    let Some(dom0) = shared() else { return };
    let _turn = HOST.lock().unwrap_or_else(PoisonError::into_inner);
    let config = "name = 'stock'\ntype = 'pvh'\nmemory = 128\nkernel = '/boot/vmlinuz'\n\
        disk = ['/tmp/stock.img,raw,xvda,w']\nvif = ['bridge=stockbr']\n";
    dom0.write("/tmp/stock.cfg", config).unwrap();
    let script = "truncate -s 16M /tmp/stock.img && ip link add stockbr type bridge &&
        xl create -p /tmp/stock.cfg && xl domid stock && xl destroy stock && ip link del stockbr";
    dom0.shell(script).unwrap().success().unwrap();
}

#[test]
fn output_and_exit_code_come_back_apart() {
    let Some(dom0) = shared() else { return };
    let output = dom0.shell("printf out; printf err >&2; exit 7").unwrap();
    assert_eq!((output.stdout.as_slice(), output.stderr.as_slice()), (&b"out"[..], &b"err"[..]));
    assert_eq!(output.code, 7);
    assert_eq!(dom0.shell("exit 255").unwrap().code, 255);
    let killed = dom0.shell("kill -TERM $$").unwrap();
    assert_eq!((killed.code, killed.error_text().as_str()), (143, ""));
}

#[test]
fn arguments_environment_and_input_arrive_unchanged() {
    let Some(dom0) = shared() else { return };
    let bytes: Vec<u8> = (1..=255).collect();
    for word in [&bytes[..], b"", b"a b", b"'\"$HOME;\n`"] {
        let word = OsString::from_vec(word.to_vec());
        let output = dom0.command(["printf", "%s"]).args([&word]).run().unwrap();
        assert_eq!(OsStr::from_bytes(&output.stdout), word, "{output}");
        let print = dom0.command(["sh", "-c", "printf %s \"$WORD\""]).env("WORD", &word);
        let output = print.run().unwrap();
        assert_eq!(OsStr::from_bytes(&output.stdout), word, "{output}");
    }
    let input: Vec<u8> = (0..1_000_000u32).map(|n| (n % 251) as u8).collect();
    let output = dom0.command(["cat"]).stdin(input.clone()).run().unwrap();
    assert!(output.stdout == input, "{} bytes came back", output.stdout.len());
}

#[test]
fn files_are_written_and_read() {
    let Some(dom0) = shared() else { return };
    dom0.write("/tmp/a file", b"\0\n\xff").unwrap();
    assert_eq!(dom0.read("/tmp/a file").unwrap(), b"\0\n\xff");
    assert!(dom0.read("/tmp/no file").is_err());
}

#[test]
fn signals_reach_the_command() {
    let Some(dom0) = shared() else { return };
    let script = "trap 'echo caught; exit 3' TERM; echo ready; while :; do sleep 0.1; done";
    let running = dom0.command(["sh", "-c", script]).spawn().unwrap();
    assert!(running.stdout.wait_for(b"ready", Instant::now() + Duration::from_secs(60)));
    running.signal(15).unwrap();
    let output = running.wait().unwrap();
    assert_eq!((output.code, output.text().as_str()), (3, "ready\ncaught"));
}

#[test]
fn a_command_that_takes_too_long_is_killed_with_its_output_shown() {
    let Some(dom0) = shared() else { return };
    let script = "echo started; exec sleep 987654";
    let command = dom0.command(["sh", "-c", script]).timeout(Duration::from_secs(5));
    let error = format!("{:#}", command.run().unwrap_err());
    assert!(error.contains("did not end within 5 s") && error.contains("started"), "{error}");
    assert!(error.contains(&dom0.logs().display().to_string()), "{error}");
    assert_eq!(dom0.shell("pgrep -f '[s]leep 987654'").unwrap().code, 1);
}

#[test]
fn a_terminal_is_one() {
    let Some(dom0) = shared() else { return };
    let mut pty = dom0.command(["sh", "-c", "stty size; tty; exec cat"]).spawn_pty().unwrap();
    pty.expect("24 80").unwrap();
    pty.expect("/dev/pts/").unwrap();
    pty.send("\x03").unwrap();
    assert_eq!(pty.wait().unwrap(), 130);
}

#[test]
fn what_is_left_behind_is_seen() {
    let Some(dom0) = shared() else { return };
    let _turn = HOST.lock().unwrap_or_else(PoisonError::into_inner);
    let before = HostState::of(dom0).unwrap();
    dom0.shell("mkdir -p /tmp/left && mount -t tmpfs left /tmp/left").unwrap().success().unwrap();
    let after = HostState::of(dom0).unwrap();
    dom0.run(["umount", "/tmp/left"]).unwrap().success().unwrap();
    let difference = before.difference(&after).to_string();
    assert_eq!(difference, "+ mount: left /tmp/left tmpfs\n");
    assert!(after.difference(&before).removed.len() == 1);
}

#[test]
fn the_images_under_test_are_there() {
    let Some(dom0) = shared() else { return };
    for image in ["busybox", "configured", "debian"] {
        let inspect = dom0.run(["skopeo", "inspect", "--raw", &format!("oci:/srv/images/{image}")]);
        inspect.unwrap().success().unwrap();
    }
}
