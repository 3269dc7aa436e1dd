//! Looking at containers: their processes, what they take, what happens to them, and
//! what their kernel says.

use std::time::Instant;

use crate::{BUSYBOX, PATIENCE, TICKING, host};

#[test]
fn processes_numbers_and_the_kernels_log_are_shown() {
    let Some(host) = host() else { return };
    // The kernel log is written to by its device, which needs the right to make it.
    host.start("seen", ["--privileged"], TICKING);
    let top = host.ok(["top", "seen", "-o", "pid,ppid,user,args"]);
    let main = top.lines().nth(1).unwrap();
    assert!(main.starts_with("2     0      root   sh -c trap"), "{top}");
    let own = host.ok(["exec", "seen", "ps", "-o", "pid,args"]);
    assert!(own.lines().any(|line| line.trim().starts_with("2 sh -c trap")), "{own}");
    let full = host.ok(["top", "seen"]);
    let words: Vec<&str> = full.lines().next().unwrap().split_whitespace().collect();
    assert_eq!(words, ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"]);
    host.fails(1, "no ps option", ["top", "seen", "--forest"]);

    let line = "{{.Name}}|{{.PIDs}}|{{.CPUPerc}}|{{.MemUsage}}|{{.BlockIO}}";
    let stats = host.ok(["stats", "--no-stream", "--format", line, "seen"]);
    let [name, pids, cpu, memory, block] = stats.split('|').collect::<Vec<_>>()[..] else {
        panic!("{stats}")
    };
    assert_eq!(name, "seen");
    assert!((1..=4).contains(&pids.parse::<u32>().unwrap()), "{stats}");
    assert!(cpu.ends_with('%') && cpu != "0.00%", "{stats}");
    assert!(memory.contains("MiB / 1"), "{stats}");
    assert!(block.contains("MB / "), "the root disk was read: {stats}");

    host.ok(["pause", "seen"]);
    host.fails(1, "unpause it first", ["top", "seen"]);
    let paused = ["stats", "--no-stream", "--format", "{{.CPUPerc}} {{.PIDs}}", "seen"];
    assert_eq!(host.ok(paused), "0.00% --");
    host.ok(["unpause", "seen"]);

    let console = host.vxn(["console", "seen"]).spawn().unwrap();
    let watcher = host.vxn(["stats", "seen"]).spawn().unwrap();
    // The kernel is quiet, but not about what is urgent.
    host.ok(["exec", "seen", "sh", "-c", "mknod /k c 1 11; echo '<1>heard in Dom0' >/k"]);
    assert!(console.stdout.wait_for(b"heard in Dom0", Instant::now() + PATIENCE));
    assert!(host.ok(["console", "--no-follow", "seen"]).contains("heard in Dom0"));
    // The terminal is raw when something is shown: before, ctrl-q would be its own.
    let mut pty = host.vxn(["console", "seen"]).spawn_pty().unwrap();
    pty.expect("heard in Dom0").unwrap();
    pty.send("typed\x10\x11").unwrap();
    assert_eq!(pty.wait().unwrap(), 0);
    assert_eq!(host.field("seen", "{{.State.Status}}"), "running");
    assert!(watcher.stdout.wait_for(b"seen", Instant::now() + PATIENCE));
    host.ok(["kill", "seen"]);
    console.wait().unwrap().success().unwrap();
    // What ends meanwhile is no error.
    watcher.wait().unwrap().success().unwrap();
    assert!(host.ok(["console", "seen"]).contains("heard in Dom0"), "it is kept");
    host.fails(1, "not running", ["top", "seen"]);
    assert!(host.ok(["stats", "--no-stream", "seen"]).contains("0B / 0B"));
    host.clean(["seen"]);
}

#[test]
fn numbers_of_a_pvh_guest_are_shown() {
    let Some(host) = host() else { return };
    let run = ["run", "-d", "--rm", "-m", "160M", "--type", "pvh", "--name", "pvh"];
    let run = host.vxn(run).args([BUSYBOX, "sh", "-c", TICKING]);
    run.run().unwrap().success().unwrap();
    let line = "{{.PIDs}}|{{.CPUPerc}}|{{.MemUsage}}|{{.NetIO}}|{{.BlockIO}}";
    let stats = host.ok(["stats", "--no-stream", "--format", line, "pvh"]);
    let [pids, cpu, memory, net, block] = stats.split('|').collect::<Vec<_>>()[..] else {
        panic!("{stats}")
    };
    assert!((1..=4).contains(&pids.parse::<u32>().unwrap()), "{stats}");
    assert!(cpu.ends_with('%') && cpu != "0.00%", "{stats}");
    assert!(memory.contains("MiB / 1"), "{stats}");
    assert!(block.contains("MB / ") && net.contains("B / "), "{stats}");
    host.clean(["pvh"]);
}

#[test]
fn events_tell_a_life_in_its_order() {
    let Some(host) = host() else { return };
    let following = host.vxn(["events", "-f", "container=told"]);
    let following = following.args(["--format", "{{.Action}}"]).spawn().unwrap();
    host.start("told", ["-l", "tier=front"], TICKING);
    host.ok(["exec", "told", "true"]);
    host.ok(["pause", "told"]);
    host.ok(["unpause", "told"]);
    host.ok(["update", "--cpu-shares", "512", "told"]);
    host.ok(["stop", "told"]);
    host.ok(["rm", "told"]);
    assert!(following.stdout.wait_for(b"destroy", Instant::now() + PATIENCE));
    following.signal(9).unwrap();
    let told = following.wait().unwrap().text();
    let expected = "create\nstart\nexec_create: true\nexec_start: true\nexec_die\npause\nunpause\n\
                    update\nkill\ndie\nstop\ndestroy";
    assert_eq!(told, expected);
    let past = ["events", "--since", "1h", "--until", "0s"];
    let die = host.vxn(past).args(["-f", "event=die", "-f", "label=tier=front"]);
    let die = die.args(["--format", "{{.Actor.Attributes.name}} {{.Actor.Attributes.exitCode}}"]);
    assert_eq!(die.run().unwrap().success().unwrap().text(), "told 5");
    let volume = host.vxn(["volume", "create", "kept"]).run().unwrap();
    volume.success().unwrap();
    host.ok(["volume", "rm", "kept"]);
    host.ok(["tag", BUSYBOX, "told:tag"]);
    host.ok(["rmi", "told:tag"]);
    let others = host.vxn(past).args(["-f", "type=volume", "-f", "type=image"]);
    let others = others.args(["--format", "{{.Type}} {{.Action}}"]).run().unwrap();
    let others = others.success().unwrap().text();
    for event in ["volume create", "volume destroy", "image pull", "image tag", "image untag"] {
        assert!(others.contains(event), "no {event}: {others}");
    }
    host.clean([]);
}
