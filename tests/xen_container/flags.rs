//! Flags of docker's that are about one thing each.

use std::time::Instant;

use crate::{BUSYBOX, PATIENCE, TICKING, host};

#[test]
fn groups_and_a_domain_name_are_the_containers() {
    let Some(host) = host() else { return };
    let flags = ["--group-add=777", "--domainname=example.org", "--hostname=box"];
    host.start("grouped", flags, "id -G; echo done; exec sleep 1000");
    host.wait_for("grouped", "done");
    let said = host.ok(["logs", "grouped"]);
    assert!(said.lines().next().is_some_and(|line| line.ends_with(" 777")), "{said}");
    assert!(host.ok(["exec", "grouped", "id", "-G"]).ends_with(" 777"));
    let domain = ["exec", "grouped", "cat", "/proc/sys/kernel/domainname"];
    assert_eq!(host.ok(domain), "example.org");
    let fields = "{{.Config.Domainname}} {{.HostConfig.GroupAdd}}";
    assert_eq!(host.field("grouped", fields), "example.org [777]");
    host.clean(["grouped"]);
}

#[test]
fn annotations_are_kept_and_quiet_shows_no_progress() {
    let Some(host) = host() else { return };
    let flags = ["--annotation=a.b/c=1=2", "--annotation", "bare", "--quiet", "--pull=always"];
    let create = host.vxn(["create", "--name", "noted"]).args(flags).args([BUSYBOX, "true"]);
    let output = create.run().unwrap().success().unwrap();
    assert_eq!(output.error_text(), "");
    let kept = host.field("noted", "{{json .HostConfig.Annotations}}");
    assert_eq!(kept, r#"{"a.b/c":"1=2","bare":""}"#);
    host.clean(["noted"]);
}

#[test]
fn only_the_streams_that_are_attached_are_shown() {
    let Some(host) = host() else { return };
    let run = host.vxn(["run", "-a", "stderr", "-m", "160M", "--network=none", "--name=half"]);
    let output = run.args([BUSYBOX, "sh", "-c", "echo out; echo err >&2; exit 4"]).run().unwrap();
    assert_eq!((output.code, output.text(), output.error_text()), (4, "".into(), "err\n".into()));
    let logs = host.vxn(["logs", "half"]).run().unwrap();
    assert_eq!((logs.text(), logs.error_text()), ("out".into(), "err\n".into()), "all is kept");
    host.clean(["half"]);
}

#[test]
fn signals_that_are_not_proxied_end_the_command_alone() {
    let Some(host) = host() else { return };
    let flags = ["--sig-proxy=false", "-m", "160M", "--network=none", "--name=free"];
    let run = host.vxn(["run"]).args(flags).args([BUSYBOX, "sh", "-c", TICKING]).spawn().unwrap();
    assert!(run.stdout.wait_for(b"tick", Instant::now() + PATIENCE));
    run.signal(15).unwrap();
    assert_eq!(run.wait().unwrap().code, 143);
    assert_eq!(host.field("free", "{{.State.Status}}"), "running");
    host.ok(["stop", "free"]);
    assert_eq!(host.field("free", "{{.State.ExitCode}}"), "5");
    host.clean(["free"]);
}

#[test]
fn an_image_file_is_a_disk_of_the_container() {
    let Some(host) = host() else { return };
    let make = "for n in 1 2; do truncate -s 1M /tmp/disk$n; echo here >/tmp/disk$n; done; \
                truncate -s 1M /tmp/disk1 /tmp/disk2";
    host.dom0.shell(make).unwrap().success().unwrap();
    let flags = [
        "--device=/tmp/disk1:/dev/xvdc",
        "--mount=type=block,src=/tmp/disk2,dst=/dev/xvdd,readonly",
    ];
    let script = "head -n1 /dev/xvdc; head -n1 /dev/xvdd; echo there >/dev/xvdc; \
                  echo no >/dev/xvdd; sync; echo done; exec sleep 1000";
    host.start("disks", flags, script);
    host.wait_for("disks", "done");
    assert_eq!(host.ok(["logs", "disks"]), "here\nhere\ndone");
    let again = ["run", "--rm", "--device=/tmp/disk1:/dev/xvdc", BUSYBOX, "true"];
    host.fails(125, "in use", again);
    host.fails(
        125,
        "neither a block device",
        ["run", "--rm", "--device=/dev/null:/dev/xvdc", BUSYBOX, "true"],
    );
    host.ok(["stop", "-t1", "disks"]);
    let read = host.dom0.shell("head -n1 /tmp/disk1; head -n1 /tmp/disk2").unwrap();
    assert_eq!(read.text(), "there\nhere");
    host.dom0.shell("rm /tmp/disk1 /tmp/disk2").unwrap().success().unwrap();
    host.clean(["disks"]);
}

#[test]
fn health_is_checked_and_told() {
    let Some(host) = host() else { return };
    let events = ["events", "-f", "container=sick", "-f", "event=health_status"];
    let events = host.vxn(events).spawn().unwrap();
    let told = |word: &[u8]| events.stdout.wait_for(word, Instant::now() + PATIENCE);
    let flags = [
        "--health-cmd=echo seen; [ -e /tmp/well ] || exec sleep 1000",
        "--health-interval=1s",
        "--health-timeout=10s",
        "--health-retries=1",
    ];
    host.start("sick", flags, "exec sleep 1000");
    assert!(told(b"health_status: unhealthy"), "a check that hangs has failed");
    assert_eq!(host.ok(["ps", "-f", "health=unhealthy", "--format", "{{.Names}}"]), "sick");
    assert!(host.field("sick", "{{json .State.Health.Log}}").contains("exceeded timeout (10s)"));
    host.ok(["exec", "sick", "touch", "/tmp/well"]);
    assert!(told(b"health_status: healthy"));
    let status = host.ok(["ps", "-f", "name=sick", "--format", "{{.Status}}"]);
    assert!(status.ends_with(" (healthy)"), "{status}");
    let fields = "{{.State.Health.Status}} {{.State.Health.FailingStreak}}";
    assert_eq!(host.field("sick", fields), "healthy 0");
    let log = host.field("sick", "{{json .State.Health.Log}}");
    assert!(log.contains(r#""ExitCode":0"#) && log.contains(r#""Output":"seen\n""#), "{log}");
    events.signal(2).unwrap();
    events.wait().unwrap();
    host.clean(["sick"]);
}
