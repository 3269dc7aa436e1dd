//! Containers that come to networks, and leave them, while they run.

use crate::{BUSYBOX, Host, host};

/// Serves its name, by which it is told from others.
const SERVE: &str = "mkdir /srv; echo $NAME >/srv/index.html; echo ready; \
                     exec httpd -f -p 80 -h /srv";

impl Host {
    /// What a server says to a container.
    #[track_caller]
    fn get(&self, from: &str, url: &str) -> String {
        self.ok(["exec", from, "wget", "-q", "-O", "-", url])
    }

    /// What the published port says to Dom0.
    #[track_caller]
    fn published(&self) -> String {
        let get = "timeout 20 busybox wget -q -O - http://127.0.0.1:8088/";
        self.dom0.shell(get).unwrap().success().unwrap().text()
    }

    /// The interfaces of a container and where its default routes lead, the first one first.
    #[track_caller]
    fn links(&self, name: &str) -> String {
        let script = "ls /sys/class/net | grep eth; \
                      ip route | awk '/^default/ { print $3, $5, $7 }' | sed 's/ *$//'";
        self.ok(["exec", name, "sh", "-c", script])
    }
}

#[test]
fn a_container_changes_its_networks_while_it_runs_and_after() {
    let Some(host) = host() else { return };
    host.ok(["network", "create", "--subnet", "10.99.7.0/24", "back"]);
    host.ok(["network", "create", "--internal", "--subnet", "10.99.8.0/24", "inner"]);
    // It has no vif, and no driver for one, until it is asked to.
    host.start("peer", ["-e", "NAME=peer"], SERVE);
    let run = ["run", "-d", "-m", "160M", "--name", "web", "-p", "8088:80", "-e", "NAME=web"];
    let networks = ["--network", "bridge", "--network", "name=inner,ip=10.99.8.9"];
    let web = host.vxn(run).args(networks).args([BUSYBOX, "sh", "-c", SERVE]);
    web.run().unwrap().success().unwrap();
    host.wait_for("peer", "ready");
    host.wait_for("web", "ready");
    it_is_connected(&host);
    it_is_disconnected(&host);
    it_is_pulled_out_while_paused(&host);
    it_changes_between_two_lives(&host);
    let events = host.ok(["events", "--since", "1h", "--until", "0s", "-f", "type=network"]);
    let peer = host.field("peer", "{{.Id}}");
    assert!(events.contains(&format!("network connect back (container={peer}")), "{events}");
    assert!(events.contains("network disconnect bridge ("), "{events}");
    host.ok(["rm", "-f", "web", "peer"]);
    host.ok(["network", "rm", "back", "inner"]);
    host.clean([]);
}

fn it_is_connected(host: &Host) {
    assert_eq!(host.links("web").replace("10.144.0.1", "IP"), "eth0\neth1\nIP eth0");
    host.ok(["network", "connect", "--alias", "store", "back", "peer"]);
    host.ok(["network", "connect", "--ip", "10.99.7.9", "back", "web"]);
    assert_eq!(host.links("peer"), "eth0\n10.99.7.1 eth0");
    let links = host.links("web");
    assert!(
        links.starts_with("eth0\neth1\neth2\n") && links.ends_with("10.99.7.1 eth2 2"),
        "{links}"
    );
    assert_eq!(host.get("web", "http://store/"), "peer");
    assert_eq!(host.get("peer", "http://web/"), "web");
    assert_eq!(host.get("peer", "http://10.99.7.9/"), "web");
    let fields = "{{.NetworkSettings.Networks.back.IPAddress}} \
                  {{.NetworkSettings.Networks.inner.IPAddress}}";
    assert_eq!(host.field("web", fields), "10.99.7.9 10.99.8.9");
    assert_eq!(host.ok(["ps", "-f", "network=inner", "--format", "{{.Names}}"]), "web");
    host.fails(1, "connected to network back already", ["network", "connect", "back", "web"]);
    let taken = ["network", "connect", "--ip", "10.99.8.9", "inner", "peer"];
    host.fails(1, "in use by container web", taken);
    let strange = ["network", "connect", "--ip", "192.0.2.7", "inner", "peer"];
    host.fails(1, "it is no host's in 10.99.8.0/24", strange);
    assert_eq!(host.links("peer"), "eth0\n10.99.7.1 eth0", "nothing is left of a refusal");
    assert_eq!(host.published(), "web");
}

/// Its ports, and its way out, are those of the next network that is not internal.
fn it_is_disconnected(host: &Host) {
    host.ok(["network", "disconnect", "bridge", "web"]);
    assert_eq!(host.links("web"), "eth1\neth2\n10.99.7.1 eth2 2");
    assert_eq!(host.published(), "web");
    assert_eq!(host.ok(["port", "web"]), "80/tcp -> 0.0.0.0:8088");
    let again = ["network", "disconnect", "bridge", "web"];
    host.fails(1, "container web is not connected to network bridge", again);
    // The same vif, with the same address, comes again.
    host.ok(["network", "connect", "bridge", "web"]);
    let links = host.links("web");
    assert!(links.starts_with("eth0\neth1\neth2\n10.99.7.1 eth2 2\n"), "{links}");
    assert!(links.ends_with(" eth0 3"), "{links}");
}

fn it_is_pulled_out_while_paused(host: &Host) {
    host.ok(["pause", "web"]);
    host.fails(1, "unpause it first", ["network", "disconnect", "bridge", "web"]);
    host.ok(["network", "disconnect", "-f", "bridge", "web"]);
    host.ok(["unpause", "web"]);
    assert_eq!(host.get("web", "http://store/"), "peer");
    // The guest notices when it goes on; this waits for it.
    host.ok(["network", "disconnect", "inner", "web"]);
    assert_eq!(host.links("web"), "eth2\n10.99.7.1 eth2 2");
}

fn it_changes_between_two_lives(host: &Host) {
    host.ok(["stop", "-t", "0", "web"]);
    assert_eq!(host.field("web", "{{.NetworkSettings.Networks.back.IPAddress}}."), ".");
    host.ok(["network", "disconnect", "back", "web"]);
    host.ok(["network", "connect", "--ip", "10.99.7.10", "back", "web"]);
    host.ok(["network", "connect", "inner", "web"]);
    host.ok(["start", "web"]);
    assert_eq!(host.links("web"), "eth0\neth1\n10.99.7.1 eth0");
    let address = host.field("web", "{{.NetworkSettings.IPAddress}}");
    assert_eq!(address, "10.99.7.10");
    assert_eq!(host.get("web", "http://store/"), "peer");
}
