//! Runs that end with their command.

use crate::Host;

#[test]
fn an_ephemeral_run_has_the_commands_output_and_exit_code() {
    let Some(host) = Host::new() else { return };
    let output = host.run(
        r#"DOCKER_CMD='docker run --rm -e WHO=me -w /tmp/made oci:/srv/images/busybox sh -c echo $WHO at $(pwd); echo err >&2; exit 7'
        ephemeral_run"#,
    );
    assert_eq!((output.code, output.text().as_str()), (7, "me at /tmp/made\nerr"), "{output}");
    // The image's own entry point and command.
    let output = host.run("DOCKER_CMD='docker run oci:/srv/images/configured'; ephemeral_run");
    assert_eq!(
        (output.code, output.text().as_str()),
        (0, "entrypoint\ndefault command"),
        "{output}"
    );
    host.leaves_nothing();
}

#[test]
fn a_foreground_run_has_the_terminal() {
    let Some(host) = Host::new() else { return };
    let body = r#"INTERACTIVE=true DOCKER_CMD='echo type something; read word; echo you typed $word; exit 3'
        prepare; build; hv_start_vm_foreground "$KERNEL_APPEND"; echo "ended: $?"; ! hv_is_vm_running"#;
    let mut terminal = host.script(body).spawn_pty().unwrap();
    terminal.expect("type something").unwrap();
    terminal.send("words\r").unwrap();
    terminal.expect("you typed words").unwrap();
    terminal.expect("ended: 0").unwrap();
    assert_eq!(terminal.wait().unwrap(), 0);
    host.leaves_nothing();
}

#[test]
fn a_run_ends_with_the_shell_that_wanted_it() {
    let Some(host) = Host::new() else { return };
    let output = host.run(
        r#"DOCKER_CMD='sleep 1000'; prepare; build
        hv_start_vm_background "$KERNEL_APPEND" /root/out 300; echo "$HV_DOMNAME"; kill -9 $$"#,
    );
    assert_eq!(output.code, 137, "{output}");
    let name = output.text();
    host.ok(&format!("HV_DOMNAME={name}; hv_wait_vm_exit 30"));
    host.ok("rm -rf /root/out /tmp/tmp.*");
    host.leaves_nothing();
}

#[test]
fn what_cannot_be_started_says_why() {
    let Some(host) = Host::new() else { return };
    for (body, code, expected) in [
        ("TARGET_ARCH=riscv64; hv_setup_arch", 1, "ERROR: Unsupported architecture: riscv64"),
        ("(PATH=/nowhere; hv_find_command)", 1, "ERROR: vxn (Xen toolstack) not found"),
        (
            "DOCKER_CMD='docker run --nosuch 1 x'; prepare",
            1,
            "WARN: vxn: unknown option --nosuch of `run`",
        ),
        (
            "DOCKER_CMD='docker run oci:/srv/images/nosuch'; prepare",
            1,
            "ERROR: Failed to prepare the image of",
        ),
        (
            "prepare; build; VXN_MEMORY=900000; hv_start_vm_background x /dev/null 1",
            1,
            "ERROR: vxn: not enough memory for domain",
        ),
        (
            "prepare; build; hv_start_vm_background $(seq -s, 1000) /dev/null 1",
            1,
            "the kernel's command line, which carries the command, has",
        ),
    ] {
        let output = host.run(body);
        assert_eq!(output.code, code, "{output}");
        assert!(output.error_text().contains(expected), "{body}: {output}");
    }
    host.leaves_nothing();
}
