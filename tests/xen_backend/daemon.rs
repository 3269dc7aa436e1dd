//! A daemon's life, in vrunner.sh's order.

use crate::Host;

#[test]
fn a_daemon_from_start_to_stop() {
    let Some(host) = Host::new() else { return };
    let text = host.ok(
        r#"CONTAINER_NAME=life; prepare; daemon_start
        [ "$(cat $DAEMON_SOCKET_DIR/daemon.domname)" = vxn-life ]
        [ -c "$(cat $DAEMON_SOCKET_DIR/daemon.pty)" ]
        kill -0 "$(cat $DAEMON_SOCKET_DIR/daemon.pid)"
        [ -f $DAEMON_SOCKET_DIR/activity ]
        hv_daemon_is_running; hv_daemon_ping
        # Another process, which knows the directory alone.
        bash -c '. /root/vrunner.sh; hv_daemon_is_running; hv_get_vm_id; hv_daemon_send "echo hello; exit 3" || echo "code $?"'
        vxn backend status vxn-life
        ! daemon_start 2>/dev/null
        echo from Dom0 >$DAEMON_SOCKET_DIR/share/in
        hv_daemon_send 'mkdir /tmp/share && mount -t 9p -o trans=xen,version=9p2000.L vxn_share /tmp/share &&
            cat /tmp/share/in && echo from the guest >/tmp/share/out && rm /tmp/share/in'
        cat $DAEMON_SOCKET_DIR/share/*"#,
    );
    assert_eq!(text, "vxn-life\nhello\ncode 3\nrunning\nfrom Dom0\nfrom the guest");
    let text = host.ok(
        r#"DOCKER_CMD='docker run oci:/srv/images/busybox sh -c id -u; echo two words; exit 4'
        prepare
        image=${DISK_OPTS#*file=}; image=${image%%,*}
        hv_daemon_run_container "$DOCKER_CMD" "$image" || echo "code $?"
        hv_daemon_run_container 'echo again' "$image"
        hv_daemon_run_container 'echo never' /nosuch || echo "code $?""#,
    );
    assert_eq!(text, "0\ntwo words\ncode 4\nagain\ncode 1");
    let text = host.ok(r#"hv_daemon_load_state
        pid=$(cat $DAEMON_SOCKET_DIR/daemon.pid)
        hv_daemon_stop
        ! hv_daemon_is_running
        ! kill -0 "$pid" 2>/dev/null
        ls $DAEMON_SOCKET_DIR"#);
    assert_eq!(text, "activity\nqemu.log\nshare");
    // Once more is no error.
    host.ok("hv_daemon_stop; rm -rf $DAEMON_SOCKET_DIR");
    host.leaves_nothing();
}

#[test]
fn an_idle_daemon_is_shut_down_and_a_busy_one_is_not() {
    let Some(host) = Host::new() else { return };
    host.ok(r#"CONTAINER_NAME=idle; prepare; daemon_start
        hv_daemon_send 'sleep 4' & sleep 1
        ! hv_idle_shutdown
        ! hv_daemon_ping
        wait
        hv_daemon_ping
        hv_idle_shutdown
        hv_wait_vm_exit 30
        rm -rf $DAEMON_SOCKET_DIR"#);
    host.leaves_nothing();
}

#[test]
fn a_container_in_the_background_has_a_status() {
    let Some(host) = Host::new() else { return };
    let text = host.ok(
        r#"CONTAINER_NAME=status DOCKER_CMD='docker run oci:/srv/images/busybox sh -c sleep 2; exit 9'
        prepare; daemon_start
        until [ "$(vxn backend status vxn-status)" != running ]; do sleep 0.2; done
        vxn backend status vxn-status
        hv_daemon_stop; rm -rf $DAEMON_SOCKET_DIR"#,
    );
    assert_eq!(text, "exited 9");
    host.leaves_nothing();
}
