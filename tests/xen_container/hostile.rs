//! Guests that mean harm: Dom0 keeps its memory and its files, and other containers do
//! not notice.

use std::sync::OnceLock;

use testbed::{Output, Running, install};

use crate::{BUSYBOX, Host, TICKING, alone};

/// A monitor with a guest that does its worst may take so much of Dom0, in KiB.
const BOUND: u32 = 8 * 1024;

/// Where Dom0 has the initramfs whose first process attacks it.
const INITRAMFS: &str = "/run/hostile.cpio";

/// Runs a command with more stdin than anybody reads, and output that nobody reads
/// before the container `$0` is gone: both fill their windows.
const LIMITED: &str = "set -o pipefail; (ulimit -v 1000000; exec \"$@\") </dev/zero | \
    { dd bs=1 count=1; vxn wait $0; cat; } >/dev/null 2>&1";

impl Host {
    /// Puts the hostile guest into Dom0, once.
    fn bring_hostile_guest(&self) {
        static BROUGHT: OnceLock<()> = OnceLock::new();
        BROUGHT.get_or_init(|| {
            self.dom0.write(INITRAMFS, install::hostile_initramfs().unwrap()).unwrap();
        });
    }

    /// How `vxn run` of the guest that attacks by `how` ends. No process of it may have a
    /// GiB of addresses: nothing is kept because a guest has announced it.
    fn attacked<const N: usize>(&self, how: &str, flags: [&str; N]) -> Output {
        let limited = self.dom0.command(["bash", "-c", LIMITED, how]);
        let run = ["vxn", "run", "--rm", "-m", "128M", "--type", "pv", "--network", "none"];
        let guest = ["--name", how, "--initramfs", INITRAMFS, "--hostname", how];
        let run = limited.args(run).args(guest).args(flags).args([BUSYBOX, "true"]);
        run.timeout(crate::PATIENCE).run().unwrap()
    }

    /// A detached container of the guest that attacks by `how`, which is its name.
    #[track_caller]
    fn start_hostile(&self, how: &str) {
        self.bring_hostile_guest();
        let run = ["run", "-d", "-i", "-m", "128M", "--network", "none", "--name", how];
        let guest = ["--initramfs", INITRAMFS, "--hostname", how, BUSYBOX, "true"];
        self.vxn(run).args(guest).run().unwrap().success().unwrap();
    }

    /// What a container's monitor takes of Dom0 in KiB, its share of what it shares
    /// included.
    #[track_caller]
    pub fn monitor_kib(&self, name: &str) -> u32 {
        let pid = self.field(name, "{{.State.Pid}}");
        let script = format!("awk '/^Pss:/ {{ print $2 }}' /proc/{pid}/smaps_rollup");
        self.dom0.shell(&script).unwrap().success().unwrap().text().parse().unwrap()
    }

    /// Bytes without end for a container's stdin.
    fn pour_into(&self, name: &str) -> Running<'_> {
        let pour = format!("head -c 100000000 /dev/zero | vxn attach {name} >/dev/null 2>&1");
        self.dom0.command(["sh", "-c", &pour]).timeout(crate::PATIENCE).spawn().unwrap()
    }

    #[track_caller]
    fn neighbour_is_well(&self) {
        assert_eq!(self.ok(["exec", "neighbour", "echo", "well"]), "well");
    }
}

#[test]
fn a_guest_that_breaks_the_protocol_is_ended_and_harms_nobody() {
    let Some(host) = alone() else { return };
    host.bring_hostile_guest();
    host.start("neighbour", [], TICKING);
    for (how, words) in [
        ("garbage", "the guest broke the protocol"),
        ("announces", "frame of 4294967295 bytes on stream 0"),
        ("forges", "output out of turn"),
        ("answers", "Networked out of turn"),
        ("overruns", "peer sent 65536 bytes into a window of 0"),
        ("lends", "peer gave 262145 bytes of credit where at most"),
    ] {
        let output = host.attacked(how, ["-i"]);
        assert_eq!(output.code, 125, "{how}: {output}");
        assert!(output.error_text().contains(words), "{how}: no {words:?}: {output}");
        host.neighbour_is_well();
    }
    host.clean(["neighbour"]);
}

#[test]
fn a_guest_that_asks_its_share_for_other_files_does_not_get_them() {
    let Some(host) = alone() else { return };
    host.bring_hostile_guest();
    let shared = "mkdir -p /srv/climb; cd /srv/climb; echo own >own; \
                  ln -sfn /etc up; ln -sfn /etc/shadow shadow";
    host.dom0.shell(shared).unwrap().success().unwrap();
    let output = host.attacked("climbs", ["-v", "/srv/climb:/data"]);
    // EINVAL for what is no name; a link is a link, with nothing below it, and not opened.
    let words = ".. .. etc shadow: error 22, ../../etc/shadow: error 22, \
                 /etc/shadow: error 22, up shadow: 1 steps, shadow: error 1, own: opened";
    assert!(output.error_text().contains(words), "{output}");
    host.dom0.shell("rm -r /srv/climb").unwrap().success().unwrap();
    host.clean([]);
}

#[test]
fn a_guest_that_takes_no_network_gets_none() {
    let Some(host) = alone() else { return };
    host.start_hostile("refuses");
    host.ok(["network", "create", "back"]);
    host.fails(1, "the guest: not with me", ["network", "connect", "back", "refuses"]);
    // What was there for it is gone before it is.
    assert_eq!(host.ok(["ps", "-q", "-f", "network=back"]), "");
    host.ok(["network", "rm", "back"]);
    let vifs = format!("xl network-list {} | wc -l", host.field("refuses", "{{.Xen.DomId}}"));
    assert_eq!(host.dom0.shell(&vifs).unwrap().text(), "1", "a headline");
    host.clean(["refuses"]);
}

#[test]
fn a_guest_that_hears_nothing_costs_nothing_and_is_stopped() {
    let Some(host) = alone() else { return };
    host.start_hostile("deaf");
    let pouring = host.pour_into("deaf");
    // It is never answered; what waits for the guest is as much as its window.
    let late = host.vxn(["top", "deaf"]).run().unwrap();
    assert!(late.error_text().contains("did not answer"), "{late}");
    let kib = host.monitor_kib("deaf");
    assert!(kib < BOUND, "{kib} KiB");
    host.ok(["stop", "-t", "1", "deaf"]);
    assert_eq!(host.field("deaf", "{{.State.ExitCode}}"), "137");
    pouring.wait().unwrap();
    host.clean(["deaf"]);
}

#[test]
fn a_container_that_takes_all_it_can_takes_its_own() {
    let Some(host) = alone() else { return };
    host.start("neighbour", [], TICKING);
    let flags = ["-i", "--pids-limit=64", "--storage-size=32M", "--log-opt=max-size=100k"];
    // It floods both outputs, and never reads its stdin.
    host.start("greedy", flags, "yes >&2 & exec yes");
    // What it said first is rotated away by then.
    host.wait_for("greedy", "y");
    let pouring = host.pour_into("greedy");
    let fill = "dd if=/dev/zero of=/fill bs=64k 2>&1 | grep -o 'No space left'";
    assert_eq!(host.ok(["exec", "greedy", "sh", "-c", fill]), "No space left");
    host.neighbour_is_well();
    host.ok(["exec", "-d", "greedy", "sh", "-c", "f() { f | f & }; f"]);
    // Nothing is forked to wait for it.
    let limited =
        "while read _ n </sys/fs/cgroup/pids.events; [ \"$n\" = 0 ]; do :; done; echo full";
    assert_eq!(host.ok(["exec", "greedy", "sh", "-c", limited]), "full");
    host.neighbour_is_well();
    let kib = host.monitor_kib("greedy");
    assert!(kib < BOUND, "{kib} KiB");
    let log = format!("du -sk /var/lib/vxn/containers/{}/log", host.field("greedy", "{{.Id}}"));
    let log: u32 = host.dom0(&log).split('\t').next().unwrap().parse().unwrap();
    assert!((100..1000).contains(&log), "{log} KiB in five files of 100");
    host.ok(["stop", "-t", "1", "greedy"]);
    assert_eq!(host.field("greedy", "{{.State.ExitCode}}"), "143");
    pouring.wait().unwrap();
    host.neighbour_is_well();
    host.clean(["greedy", "neighbour"]);
}
