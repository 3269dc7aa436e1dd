//! What containers may take, of the host and of their guest.

use crate::{BUSYBOX, Host, host};

/// What Xen's scheduler, whichever it is, knows of a domain: weight and cap.
fn scheduled(host: &Host, name: &str) -> String {
    let either = format!("(xl sched-credit2 -d {name} || xl sched-credit -d {name}) 2>/dev/null");
    host.dom0.shell(&format!("{either} | awk 'END {{ print $3, $4 }}'")).unwrap().text()
}

/// The host's CPUs that each of its virtual CPUs may run on.
fn affinity(host: &Host, name: &str) -> String {
    let list = format!("xl vcpu-list {name} | awk 'NR > 1 {{ print $7 }}'");
    host.dom0.shell(&list).unwrap().text()
}

#[test]
fn limits_reach_the_hypervisor_and_the_guest() {
    let Some(host) = host() else { return };
    let flags = [
        "--cpus=1.5",
        "--cpu-shares=512",
        "--cpuset-cpus=0",
        "--pids-limit=50",
        "--ulimit=nofile=100:200",
        "--shm-size=1m",
        "--sysctl=vm.swappiness=7",
        "--sysctl=net.core.somaxconn=99",
        "--sysctl=kernel.msgmax=4321",
        "--oom-score-adj=77",
        "--cap-drop=ALL",
        "--cap-add=chown",
        "--security-opt=no-new-privileges",
    ];
    let script = "grep -c ^processor /proc/cpuinfo; cat /sys/fs/cgroup/pids.max; \
                  ulimit -n; cat /proc/sys/vm/swappiness /proc/sys/net/core/somaxconn \
                  /proc/sys/kernel/msgmax /proc/self/oom_score_adj; \
                  grep -o 'size=1024k' /proc/mounts; \
                  grep -E 'CapEff|NoNewPrivs' /proc/self/status | cut -f2; \
                  echo done; exec sleep 1000";
    host.start("limited", flags, script);
    host.wait_for("limited", "done");
    let expected = "2\n50\n100\n7\n99\n4321\n77\nsize=1024k\n0000000000000001\n1\ndone";
    assert_eq!(host.ok(["logs", "limited"]), expected);
    let second = host.ok([
        "exec",
        "limited",
        "grep",
        "-E",
        "open files|CapEff",
        "/proc/self/limits",
        "/proc/self/status",
    ]);
    assert!(second.contains(" 100 ") && second.ends_with("0000000000000001"), "{second}");
    assert_eq!(scheduled(&host, "limited"), "128 150");
    assert_eq!(affinity(&host, "limited"), "0\n0");
    let fields = "{{.HostConfig.NanoCpus}} {{.HostConfig.CpusetCpus}} {{.HostConfig.PidsLimit}}";
    assert_eq!(host.field("limited", fields), "1500000000 0 50");
    host.ok(["kill", "limited"]);
    assert_eq!(host.field("limited", "{{.State.ExitCode}} {{.State.OOMKilled}}"), "137 false");
    host.clean(["limited"]);
}

#[test]
fn a_container_is_updated_while_it_runs_and_after() {
    let Some(host) = host() else { return };
    let flags = ["--cpus=2", "--restart=always"];
    host.start("updated", flags, "echo ready; exec sleep 1000");
    host.wait_for("updated", "ready");
    let changes = ["--cpus=0.5", "--cpu-shares=2048", "--cpuset-cpus=1", "--restart=no", "-m=128M"];
    assert_eq!(
        host.vxn(["update"]).args(changes).args(["updated"]).run().unwrap().text(),
        "updated"
    );
    assert_eq!(scheduled(&host, "updated"), "512 50");
    assert_eq!(affinity(&host, "updated"), "1\n1");
    let id = host.field("updated", "{{.Xen.DomId}}");
    let target = host.dom0.run(["xenstore-read", &format!("/local/domain/{id}/memory/target")]);
    assert_eq!(target.unwrap().text(), "131072");
    host.fails(1, "stop it first", ["update", "--cpus=3", "updated"]);
    host.fails(1, "stop it first", ["update", "-m", "200M", "updated"]);
    host.fails(1, "CPUs are not available", ["update", "--cpuset-cpus=4000", "updated"]);
    // It ends by itself, as far as its policy can tell, and takes this command along.
    host.vxn(["exec", "updated", "sh", "-c", "kill -9 $(pidof sleep)"]).run().unwrap();
    host.ok(["wait", "updated"]);
    assert_eq!(host.field("updated", "{{.State.Status}} {{.RestartCount}}"), "exited 0");
    host.ok(["update", "--cpus=2", "--cpuset-cpus=", "-m", "160M", "updated"]);
    host.ok(["start", "updated"]);
    assert_eq!(affinity(&host, "updated"), "all\nall");
    assert_eq!(scheduled(&host, "updated"), "512 0");
    host.fails(1, "nothing to change", ["update", "updated"]);
    host.clean(["updated"]);
}

#[test]
fn a_guest_without_memory_kills_and_tells() {
    let Some(host) = host() else { return };
    // Small pieces, so that no request for memory is refused as a whole.
    let eat = "exec awk 'BEGIN { s = \"x\"; while (length(s) < 1000000) s = s s; \
               for (;;) a[i++] = s i }'";
    host.start("hungry", [], eat);
    assert_eq!(host.ok(["wait", "hungry"]), "137");
    assert_eq!(host.field("hungry", "{{.State.ExitCode}} {{.State.OOMKilled}}"), "137 true");
    assert_eq!(host.told("hungry"), "create\nstart\noom\ndie");
    host.clean(["hungry"]);
}

#[test]
fn files_larger_than_the_memory_kill_nobody() {
    let Some(host) = host() else { return };
    let script = "dd if=/dev/zero of=/large bs=1M count=200 2>/dev/null && \
                  cat /large >/dev/null && cat /large | wc -c; rm /large; echo well";
    host.start("files", [], script);
    assert_eq!(host.ok(["wait", "files"]), "0");
    assert_eq!(host.ok(["logs", "files"]), "209715200\nwell");
    assert_eq!(host.field("files", "{{.State.ExitCode}} {{.State.OOMKilled}}"), "0 false");
    host.clean(["files"]);
}

#[test]
fn what_cannot_be_is_refused_before_a_domain_is_made() {
    let Some(host) = host() else { return };
    for (flag, what) in [
        ("--pid=host", "shares no namespace"),
        ("--memory-swap=1g", "no swap"),
        ("--cpuset-cpus=4000", "requested CPUs are not available"),
        ("--memory=4000G", "MiB are free"),
    ] {
        host.fails(125, what, ["run", "--rm", flag, BUSYBOX, "true"]);
    }
    let flags = ["run", "--rm", "-m", "160M", "--sysctl=vm.nonsense=1", BUSYBOX, "true"];
    host.fails(125, "set the kernel parameter vm.nonsense", flags);
    host.clean([]);
}
