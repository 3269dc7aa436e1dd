//! Networks of containers on real Xen: a server in a DomU is reached from Dom0
//! and from another host, containers find each other, and nothing is left.

use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use testbed::{Command, Dom0, HostState};

const BUSYBOX: &str = "oci:/srv/images/busybox";
const DEBIAN: &str = "oci:/srv/images/debian";

/// A start under software emulation on a busy machine.
const PATIENCE: Duration = Duration::from_secs(400);

/// Serves its host name by HTTP and what it is sent by UDP, until it is stopped.
/// Debian's busybox has no UDP, its perl has.
const SERVER: &str = r#"
use IO::Socket::INET; use IO::Select;
$name = `hostname`;
$tcp = IO::Socket::INET->new(LocalPort => 80, Listen => 5);
$udp = IO::Socket::INET->new(LocalPort => 81, Proto => "udp");
$any = IO::Select->new($tcp, $udp);
while (@ready = $any->can_read) {
    for (@ready) {
        if ($_ == $udp) { $_->recv($said, 1500); $_->send($said); next }
        $client = $_->accept;
        while (<$client>) { last if /^\r?$/ }
        print $client "HTTP/1.0 200 OK\r\n\r\n$name";
        close $client;
    }
}
"#;

/// One test at a time: each compares all that is on the host before and after.
static HOST: Mutex<()> = Mutex::new(());

struct Host {
    dom0: &'static Dom0,
    before: HostState,
    _alone: MutexGuard<'static, ()>,
}

/// A Dom0 with another host, the namespace `other` behind the cable `out`.
#[track_caller]
fn host() -> Option<Host> {
    let dom0 = testbed::shared()?;
    let alone = HOST.lock().unwrap_or_else(PoisonError::into_inner);
    let script = "ip netns list | grep -q other && exit
        ip netns add other
        ip link add out type veth peer name eth0 netns other
        ip address add 192.0.2.1/24 dev out
        ip link set out up
        ip -n other address add 192.0.2.2/24 dev eth0
        ip -n other link set eth0 up";
    dom0.shell(script).unwrap().success().unwrap();
    // The image's root disk and the unpacked kernel are made once and stay.
    static WARM: OnceLock<()> = OnceLock::new();
    WARM.get_or_init(|| drop(vxn(dom0, &[BUSYBOX, "true"]).run().unwrap().success().unwrap()));
    Some(Host { dom0, before: HostState::of(dom0).unwrap(), _alone: alone })
}

/// `vxn run --rm`, small and quick to start.
fn vxn<'a>(dom0: &'a Dom0, args: &[&str]) -> Command<'a> {
    let run = ["vxn", "run", "--rm", "-m", "160M", "--type", "pv"];
    dom0.command(run).args(args.iter().copied()).timeout(PATIENCE)
}

impl Host {
    fn shell(&self, script: &str) -> String {
        self.dom0.shell(script).unwrap().success().unwrap().text()
    }

    /// Waits until the server answers: only an answer tells that it listens.
    fn wait_for_server(&self) {
        let get = "timeout 5 busybox wget -q -O /dev/null http://127.0.0.1:8080/";
        self.shell(&format!("for i in $(seq 600); do {get} && exit; sleep 0.2; done; exit 1"));
    }

    /// Waits until no process of vxn is left, at most a minute.
    fn wait_for_end(&self) {
        self.shell("for i in $(seq 600); do pgrep -x vxn || exit 0; sleep 0.1; done; exit 1");
    }

    #[track_caller]
    fn assert_as_found(&self, after: &str) {
        let difference = self.before.difference(&HostState::of(self.dom0).unwrap());
        assert!(difference.is_empty(), "left after {after}:\n{difference}");
    }
}

#[test]
fn a_server_is_reached_by_all_and_gone_with_its_container() {
    let Some(host) = host() else { return };
    let server = ["--name", "web", "-p", "8080:80", "-p", "8081:81/udp", DEBIAN, "perl", "-e"];
    let running = vxn(host.dom0, &[&server[..], &[SERVER]].concat()).spawn().unwrap();
    host.wait_for_server();
    let ports = "80/tcp -> 0.0.0.0:8080\n81/udp -> 0.0.0.0:8081";
    assert_eq!(host.shell("vxn port web"), ports);
    assert_eq!(host.shell("vxn port web 81/udp"), "0.0.0.0:8081");
    let shown = "vxn ps --format '{{.Ports}}'; \
                 vxn inspect --format '{{.NetworkSettings.IPAddress}}' web";
    let shown = host.shell(shown);
    assert!(shown.starts_with("0.0.0.0:8080->80/tcp, 0.0.0.0:8081->81/udp\n10.144."), "{shown}");
    let elsewhere = "ip netns exec other";
    for get in [
        "timeout 20 busybox wget -q -O - http://127.0.0.1:8080/",
        "timeout 20 busybox wget -q -O - http://192.0.2.1:8080/",
        &format!("timeout 20 {elsewhere} busybox wget -q -O - http://192.0.2.1:8080/"),
    ] {
        assert_eq!(host.shell(get).len(), 12, "{get}");
    }
    for (from, to) in [("", "127.0.0.1"), (elsewhere, "192.0.2.1")] {
        let ask = format!("exec 3<>/dev/udp/{to}/8081; echo ping >&3; head -n 1 <&3");
        assert_eq!(host.shell(&format!("timeout 20 {from} bash -c '{ask}'")), "ping", "{to}");
    }

    // Another one finds it by name, and the world behind Dom0's address.
    let client = "wget -q -O - http://web/; wget -q -O - http://192.0.2.1:8080/; \
                  ping -c 1 192.0.2.2 >/dev/null && cat /etc/resolv.conf";
    let output = vxn(host.dom0, &[BUSYBOX, "sh", "-c", client]).run().unwrap().success().unwrap();
    let said = output.text();
    let lines: Vec<&str> = said.lines().collect();
    assert!(lines.len() == 3 && lines[0].len() == 12 && lines[0] == lines[1], "{output}");
    assert_eq!(lines[2], "nameserver 10.0.2.3");

    // A second owner of the port is refused, with the first one's name.
    let late = vxn(host.dom0, &["-p", "8080:80", BUSYBOX, "true"]).run().unwrap();
    assert_eq!(late.code, 125, "{late}");
    let taken = "port 8080/tcp of this host is already in use by container web";
    assert!(late.error_text().contains(taken), "{late}");

    running.signal(15).unwrap();
    running.wait().unwrap();
    host.assert_as_found("SIGTERM of a server");
}

#[test]
fn killed_with_its_monitor_a_server_leaves_nothing() {
    let Some(host) = host() else { return };
    let args = ["--ip", "10.144.77.7", "--mac-address", "00:16:3e:77:77:77", "-p", "8080:80"];
    let command = ["--add-host", "db:192.0.2.9", "--dns", "192.0.2.53", BUSYBOX, "sh", "-c"];
    let show = "grep -w db /etc/hosts; cat /etc/resolv.conf; ip -o link show dev eth0; ";
    let serve = format!("mkdir /srv; {{ {show} }} >/srv/index.html; exec httpd -f -p 80 -h /srv");
    let all = [&args[..], &command[..], &[serve.as_str()]].concat();
    let running = vxn(host.dom0, &all).spawn().unwrap();
    host.wait_for_server();
    let seen = host.shell("timeout 20 busybox wget -q -O - http://127.0.0.1:8080/");
    for wanted in ["192.0.2.9\tdb", "nameserver 192.0.2.53", "00:16:3e:77:77:77"] {
        assert!(seen.contains(wanted), "{wanted:?} is not in {seen}");
    }
    host.shell("pkill -KILL -x vxn");
    running.wait().unwrap();
    host.wait_for_end();
    host.dom0.run(["vxn", "info"]).unwrap().success().unwrap();
    host.assert_as_found("SIGKILL of everything");
}

#[test]
fn a_kernel_without_nf_tables_is_told_what_it_lacks() {
    let Some(host) = host() else { return };
    let without = "echo 'install nf_tables /bin/false' >/etc/modprobe.d/without.conf
        for module in $(lsmod | grep -oE '^nft?_[a-z0-9_]+'); do modprobe -qr $module; done
        ! grep -q '^nf_tables ' /proc/modules";
    host.shell(without);
    let run = vxn(host.dom0, &[BUSYBOX, "true"]).run().unwrap();
    let alone = vxn(host.dom0, &["--network", "none", BUSYBOX, "true"]).run().unwrap();
    host.shell("rm /etc/modprobe.d/without.conf; modprobe nf_tables");
    assert_eq!(run.code, 125, "{run}");
    let words = run.error_text();
    assert!(words.contains("CONFIG_NF_TABLES") && words.contains("--network none"), "{words}");
    alone.success().unwrap();
    host.assert_as_found("a refusal");
}
