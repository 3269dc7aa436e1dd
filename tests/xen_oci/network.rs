//! The network that a caller has prepared: podman's, and a namespace made by hand.

use crate::podman::podman;
use crate::{Host, RUNTIME, host};

/// Serves "hello" by HTTP until it is stopped.
pub const SERVER: &str = "trap 'exit 5' TERM; mkdir /www; echo hello >/www/index.html; \
                      httpd -p 80 -h /www; echo ready; while :; do sleep 1; done";

/// Asks a server; only an answer tells that it listens.
pub fn ask(url: &str) -> String {
    let get = format!("timeout 5 busybox wget -q -O - http://{url}/");
    format!("for i in $(seq 300); do {get} && exit; sleep 0.2; done; exit 1")
}

impl Host {
    /// The namespace `name` with 192.0.2.2 and 2001:db8::2 on a cable to Dom0, which has
    /// ::1 there; it is another host, or a place for a container.
    fn cable(&self, name: &str) {
        self.ok(&format!(
            "ip netns add {name}
             ip link add {name} type veth peer name eth0 netns {name}
             ip address add 192.0.2.1/24 dev {name}
             ip address add 2001:db8::1/64 dev {name} nodad
             ip link set {name} up
             ip -n {name} address add 192.0.2.2/24 dev eth0
             ip -n {name} address add 2001:db8::2/64 dev eth0 nodad
             ip -n {name} link set eth0 up mtu 1400
             ip -n {name} route add default via 192.0.2.1"
        ));
    }

    fn cut(&self, name: &str) {
        self.ok(&format!("ip link del {name}; ip netns del {name}"));
    }
}

#[test]
fn podman_publishes_ports_and_containers_reach_each_other() {
    let Some(host) = host() else { return };
    host.cable("other");
    let run = |words: &str| host.ok(&podman(&format!("run {words}")));
    run(&format!("-d --name web -p 8080:80 small sh -c \"{SERVER}\""));
    assert_eq!(host.ok(&ask("127.0.0.1:8080")), "hello");
    host.ok(&format!("ip netns exec other sh -c '{}'", ask("192.0.2.1:8080")));

    // The guest is what podman takes it for.
    let of = |field: &str| {
        host.ok(&podman(&format!("inspect -f '{{{{.NetworkSettings.{field}}}}}' web")))
    };
    let (address, mac, gateway) = (of("IPAddress"), of("MacAddress"), of("Gateway"));
    let eth0 = host.ok(&podman("exec web ip address show eth0"));
    assert!(eth0.contains(&format!("inet {address}/16")) && eth0.contains(&mac), "{eth0}");
    let routes = host.ok(&podman("exec web ip route"));
    assert!(routes.contains(&format!("default via {gateway} dev eth0")), "{routes}");

    assert_eq!(run(&format!("--rm small sh -c '{}'", ask(&address))), "hello");
    // Out of the container, and back in by the published port.
    assert_eq!(run(&format!("--rm small sh -c '{}'", ask("192.0.2.1:8080"))), "hello");

    host.ok(&podman("stop -t 100 web"));
    assert_eq!(host.ok(&podman("wait web")), "5");
    host.fails(1, "", "timeout 5 busybox wget -q -O - http://127.0.0.1:8080/ || exit 1");
    host.ok(&podman("start web"));
    assert_eq!(host.ok(&ask("127.0.0.1:8080")), "hello");
    host.ok(&podman("rm -f web"));
    host.cut("other");
    host.clean();
}

#[test]
fn a_namespace_is_one_containers_and_outlives_it() {
    let Some(host) = host() else { return };
    host.cable("place");
    let dir = host.bundle("placed", SERVER);
    let join = "s|\"type\": \"network\"|&, \"path\": \"/run/netns/place\"|";
    host.ok(&format!("sed -i '{join}' {dir}/config.json"));
    let create = |id: &str| {
        host.ok(&format!(
            "{RUNTIME} create -b {dir} --pid-file {dir}/{id} {id} </dev/null >{dir}/out 2>&1"
        ));
    };
    let redirects = "tc -n place qdisc show dev eth0 ingress";
    for id in ["first", "second"] {
        create(id);
        host.ok(&format!("{RUNTIME} start {id}"));
        host.wait_for(&format!("{dir}/out"), "ready");
        assert_eq!(host.ok(&ask("192.0.2.2")), "hello");
        assert_eq!(host.ok(&ask("[2001:db8::2]")), "hello");
        assert!(host.ok(&format!("{RUNTIME} exec {id} ip link show eth0")).contains("mtu 1400"));

        create("late");
        host.fails(1, "somebody else's already", &format!("{RUNTIME} start late"));
        host.ok(&format!("{RUNTIME} delete --force late"));
        assert_eq!(host.ok(&ask("192.0.2.2")), "hello");

        // One ends by itself, the other one by the death of its monitor.
        let signal = if id == "first" { "TERM" } else { "KILL" };
        host.ok(&format!(
            "pid=$(cat {dir}/{id}); kill -{signal} $pid; while [ -d /proc/$pid ]; do sleep 0.1; done"
        ));
        assert!(host.ok(&format!("{RUNTIME} state {id}")).contains("\"stopped\""));
        assert_eq!(host.ok(redirects), "");
        host.ok(&format!("{RUNTIME} delete {id}"));
    }
    host.cut("place");
    host.clean();
}

#[test]
fn a_namespace_that_is_none_is_refused() {
    let Some(host) = host() else { return };
    let dir = host.bundle("nowhere", "true");
    host.ok(&format!("cp {dir}/config.json {dir}/good.json"));
    for (path, words) in [
        ("/proc/1/ns/net", "host network is not supported"),
        ("/etc/passwd", "cannot enter the network namespace /etc/passwd"),
        ("/run/netns/nowhere", "/run/netns/nowhere: No such file"),
    ] {
        let join = format!("s|\"type\": \"network\"|&, \"path\": \"{path}\"|");
        host.ok(&format!("sed '{join}' {dir}/good.json >{dir}/config.json"));
        host.fails(1, words, &format!("{RUNTIME} create -b {dir} nowhere"));
    }
    host.clean();
}
