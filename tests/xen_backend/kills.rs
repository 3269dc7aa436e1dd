//! `kill -9` of verbs and of monitors: the next verb finds a consistent state, and
//! nothing is left after a stop.

use crate::Host;

#[test]
fn a_killed_verb_leaves_a_consistent_state() {
    let Some(host) = Host::new() else { return };
    // Moments of a start, from the first to the last, in seconds.
    for moment in ["0.05", "0.2", "0.5", "1", "2"] {
        host.ok(&format!(
            r#"CONTAINER_NAME=killed; prepare; DAEMON_MODE=start; build
            mkdir -p $DAEMON_SOCKET_DIR
            vxn backend start --daemon --kernel "$KERNEL_IMAGE" --ramdisk "$INITRAMFS" \
                --append "$KERNEL_APPEND docker_daemon=1" --memory 160 "${{_VXN_DISKS[@]}}" vxn-killed & verb=$!
            sleep {moment}; kill -9 $verb 2>/dev/null || true; wait $verb 2>/dev/null || true
            # It is there or it is not; either way it can be stopped.
            for _ in $(seq 50); do
                vxn backend stop vxn-killed 2>/dev/null && break
                sleep 0.2
            done
            # A monitor that was on its way finds nobody waiting; one is the quiet daemon's.
            while [ "$(pgrep -fc '[b]ackend monitor')" -gt 1 ]; do sleep 0.2; done
            ! vxn backend running vxn-killed
            rm -rf $DAEMON_SOCKET_DIR"#,
        ));
        host.leaves_nothing();
    }
}

#[test]
fn a_daemon_outlives_its_killed_users() {
    let Some(host) = Host::new() else { return };
    let text = host.ok(
        r#"CONTAINER_NAME=users DOCKER_CMD='docker run oci:/srv/images/busybox true'
        prepare; INPUT_TYPE=none; image=$TEMP_DIR/input.img; DISK_OPTS=; DOCKER_CMD=; daemon_start
        for moment in 0.02 0.1 0.3 0.6 1; do
            for verb in "ping vxn-users" "send vxn-users -- true" "run --disk $image vxn-users -- true" \
                "shutdown --when-idle nosuch" "status vxn-users" "info vxn-users"; do
                vxn backend $verb >/dev/null 2>&1 & pid=$!
                sleep $moment; kill -9 $pid 2>/dev/null || true; wait $pid 2>/dev/null || true
            done
        done
        hv_daemon_run_container 'echo whole' "$image"
        hv_daemon_stop; rm -rf $DAEMON_SOCKET_DIR"#,
    );
    assert_eq!(text, "whole");
    host.leaves_nothing();
}

#[test]
fn a_killed_monitor_takes_its_domu_with_it() {
    let Some(host) = Host::new() else { return };
    host.ok(r#"CONTAINER_NAME=monitor; prepare; daemon_start
        kill -9 "$(cat $DAEMON_SOCKET_DIR/daemon.pid)"
        code=0; hv_daemon_send 'echo no' || code=$?; [ $code = 1 ]
        ! hv_daemon_is_running
        hv_daemon_stop; rm -rf $DAEMON_SOCKET_DIR"#);
    host.leaves_nothing();
}
