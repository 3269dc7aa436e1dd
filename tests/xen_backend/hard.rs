//! Where the backend that this one replaces took failure for success.

use crate::{Host, script};

#[test]
fn two_users_of_one_console_get_their_own_answers() {
    let Some(host) = Host::new() else { return };
    let text = host.ok(
        r#"CONTAINER_NAME=two; prepare; daemon_start
        for n in 1 2 3 4 5 6; do
            ( hv_daemon_send "sleep 0.$n; echo answer $n; exit $n" >/root/two.$n || echo "code $?" >>/root/two.$n ) &
        done
        wait
        cat /root/two.[1-6]; rm /root/two.[1-6]
        # Who is killed leaves nothing half-said to the next one.
        ( exec vxn backend send vxn-two -- 'sleep 2; echo stale' ) & killed=$!
        sleep 0.5; kill -9 $killed
        hv_daemon_send 'echo fresh'
        vxn backend send --timeout 1 vxn-two -- 'sleep 3; echo late' 2>&1 || echo "code $?"
        hv_daemon_send 'echo after'
        hv_daemon_stop; rm -rf $DAEMON_SOCKET_DIR"#,
    );
    let answers: String = (1..=6).map(|n| format!("answer {n}\ncode {n}\n")).collect();
    let expected = format!("{answers}fresh\nvxn: no answer within 1 s\ncode 1\nafter");
    assert_eq!(text, expected);
    host.leaves_nothing();
}

#[test]
fn output_that_looks_like_an_end_is_output() {
    let Some(host) = Host::new() else { return };
    let text = host.ok(
        r#"CONTAINER_NAME=ends; prepare; daemon_start
        hv_daemon_send 'echo ===END===; exit 1' || echo "code $?"
        hv_daemon_send "printf '===OUTPUT_END===\n===EXIT_CODE=0===\n===END===\nmore\n'; exit 2" || echo "code $?"
        hv_daemon_send "printf 'no newline'; exit 5" || echo " code $?"
        hv_daemon_send "printf '===ERROR===\nnothing\n===END===\n'"
        hv_daemon_send 'seq 20000 | md5sum'; hv_daemon_send 'seq 20000' | md5sum
        hv_daemon_stop; rm -rf $DAEMON_SOCKET_DIR"#,
    );
    let sum = text.lines().last().unwrap();
    let expected = format!(
        "===END===\ncode 1\n===OUTPUT_END===\n===EXIT_CODE=0===\n===END===\nmore\ncode 2\n\
         no newline code 5\n===ERROR===\nnothing\n===END===\n{sum}\n{sum}"
    );
    assert_eq!(text, expected);
    host.leaves_nothing();
}

#[test]
fn a_guest_that_dies_in_the_middle_is_a_failure() {
    let Some(host) = Host::new() else { return };
    let output = host.run(
        r#"CONTAINER_NAME=dies; prepare; daemon_start
        code=0; hv_daemon_send 'echo begun; echo c >/proc/sysrq-trigger' || code=$?
        echo "code $code"
        hv_wait_vm_exit 30
        code=0; hv_daemon_send 'echo no' || code=$?
        echo "code $code"
        hv_daemon_stop; rm -rf $DAEMON_SOCKET_DIR"#,
    );
    assert_eq!((output.code, output.text().as_str()), (0, "code 1\ncode 1"), "{output}");
    let said = output.error_text();
    assert!(said.contains("the DomU ended (crash) before the command had"), "{output}");
    assert!(said.contains("there is no DomU vxn-dies"), "{output}");
    host.leaves_nothing();
}

#[test]
fn a_guest_that_never_answers_is_a_failure() {
    let Some(host) = Host::new() else { return };
    let output = host.run(
        r#"CONTAINER_NAME=mute EXTRA=vcontainer.init=/silent.sh; prepare; DAEMON_MODE=start; build
        mkdir -p $DAEMON_SOCKET_DIR
        hv_start_vm_background "$KERNEL_APPEND" $DAEMON_SOCKET_DIR/qemu.log ''
        hv_daemon_save_state
        code=0; hv_daemon_ping || code=$?; echo "ping $code"
        code=0; hv_daemon_send 'echo no' || code=$?; echo "send $code"
        hv_destroy_vm; ! hv_is_vm_running; rm -rf $DAEMON_SOCKET_DIR"#,
    );
    assert_eq!((output.code, output.text().as_str()), (0, "ping 1\nsend 1"), "{output}");
    let said = output.error_text();
    assert!(said.contains("ERROR: vxn: the guest does not answer: no ===PONG==="), "{output}");
    host.leaves_nothing();
}

#[test]
fn what_the_guest_cannot_do_is_a_failure() {
    let Some(host) = Host::new() else { return };
    let output = host.run(
        r#"CONTAINER_NAME=cannot; prepare; daemon_start
        truncate -s 1M /root/empty.img
        code=0; hv_daemon_run_container 'echo no' /root/empty.img || code=$?; echo "code $code"
        code=0; hv_daemon_send "$(seq 2000)" || code=$?; echo "code $code"
        hv_daemon_send 'echo yes'
        hv_daemon_stop; rm -rf $DAEMON_SOCKET_DIR /root/empty.img"#,
    );
    assert_eq!((output.code, output.text().as_str()), (0, "code 1\ncode 1\nyes"), "{output}");
    let said = output.error_text();
    assert!(said.contains("the guest could not do it: Failed to mount /dev/xvdb"), "{output}");
    assert!(said.contains("the console of these guests takes 3069"), "{output}");
    host.leaves_nothing();
}

/// The command was begun before the first test.
#[test]
fn three_minutes_of_silence_are_no_end() {
    let Some(host) = Host::new() else { return };
    let dom0 = host.dom0;
    // Let the others go on meanwhile.
    drop(host);
    let text = script(
        dom0,
        "until [ -f /root/quiet/code ]; do sleep 0.5; done; cat /root/quiet/out /root/quiet/code",
    )
    .run()
    .unwrap();
    assert_eq!(text.text(), "at last\n0", "{text}");
}
