//! Ports of Dom0 that lead to a server in the guest, and are gone with it.

use crate::Host;

/// A daemon with a server that says hello, and two ports that lead to it.
/// `from HOST PORT` asks for the hello.
const SERVED: &str = r#"CONTAINER_NAME=served PORT_FORWARDS=(8080:80 127.0.0.1:8081:80/tcp)
    prepare; daemon_start
    hv_daemon_send 'mkdir -p /tmp/www; echo hello >/tmp/www/index.html; httpd -h /tmp/www -p 80'
    from() {
        timeout 20 bash -c 'exec 3<>/dev/tcp/$0/$1 && printf "GET / HTTP/1.0\r\n\r\n" >&3 && tail -n 1 <&3' "$@"
    }
    nothing_at() { ! from "$@" 2>/dev/null; }
    export -f from
"#;

/// Another host on a cable: a network namespace at 192.0.2.2, Dom0 at 192.0.2.1.
const CABLE: &str = r#"ip netns add other
    ip link add cable type veth peer name end netns other
    ip addr add 192.0.2.1/24 dev cable; ip link set cable up
    ip -n other addr add 192.0.2.2/24 dev end; ip -n other link set end up
    from_other() { ip netns exec other bash -c 'from "$@"' bash "$@"; }
"#;

#[test]
fn ports_lead_to_the_guest_and_are_gone_after_a_stop() {
    let Some(host) = Host::new() else { return };
    let output = host.run(&format!(
        r#"{SERVED}{CABLE}
        from 127.0.0.1 8080
        from 127.0.0.1 8081
        from_other 192.0.2.1 8080
        ! from_other 192.0.2.1 8081 2>/dev/null
        # Taken once is taken.
        vxn backend forward vxn-quiet 8080:1 2>&1 || echo "code $?"
        # The guest knows its address and the way out.
        address=$(vxn backend info vxn-served | sed -n 's/^address=//p' | head -1)
        hv_daemon_send "ifconfig eth0 | grep -c $address; route -n | grep -c ^0.0.0.0"
        hv_cleanup_port_forwards
        nothing_at 127.0.0.1 8080
        hv_setup_port_forwards
        from 127.0.0.1 8080
        hv_daemon_stop
        nothing_at 127.0.0.1 8080
        # ip(8) mounts the directory of its namespaces.
        ip netns del other; umount /run/netns; rm -rf $DAEMON_SOCKET_DIR"#,
    ));
    let text = output.text();
    assert_eq!(output.code, 0, "{output}");
    let said = text.lines().filter(|line| !line.starts_with("vxn:")).collect::<Vec<_>>();
    assert_eq!(said, ["hello", "hello", "hello", "code 1", "1", "1", "hello"], "{output}");
    assert!(text.contains("vxn-served"), "the owner is named: {output}");
    host.leaves_nothing();
}

#[test]
fn ports_are_gone_after_a_destroy_and_after_a_kill_of_everything() {
    let Some(host) = Host::new() else { return };
    host.ok(&format!(
        "{SERVED} [ $(from 127.0.0.1 8080) = hello ]; hv_destroy_vm
        nothing_at 127.0.0.1 8080; rm -rf $DAEMON_SOCKET_DIR",
    ));
    host.leaves_nothing();
    host.ok(&format!(
        "{SERVED} [ $(from 127.0.0.1 8080) = hello ]
        kill -9 $(cat $DAEMON_SOCKET_DIR/daemon.pid)
        ! hv_daemon_is_running
        nothing_at 127.0.0.1 8080; hv_daemon_stop; rm -rf $DAEMON_SOCKET_DIR",
    ));
    host.leaves_nothing();
}
