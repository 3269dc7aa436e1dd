//! As many containers at once as the host has memory for, each with a port and a volume.

use std::time::{Duration, Instant};

use crate::alone;

/// Wanted; fewer where there is no memory for them.
const MOST: u64 = 20;
/// What one takes of the host: its memory, and what Xen needs for it.
const EACH_MIB: u64 = 136;
/// What a monitor may take of Dom0's memory, in KiB.
const MONITOR: u32 = 4 * 1024;
/// All of them together, stopped one after the other, would take longer.
const STOPPED: Duration = Duration::from_secs(60);

/// Starts them, four at a time; each serves its number from its volume.
const START: &str = "for i in $(seq $COUNT); do
        vxn run -d -m 128M --type pv --name many$i -p 127.0.0.1:$((9000 + i)):80 \
            -v many$i:/data oci:/srv/images/busybox sh -c \
            \"echo $i >/data/index.html; echo ready; exec httpd -f -p 80 -h /data\" &
        [ $((i % 4)) = 0 ] && wait
    done; wait";

/// Each port and each volume has its own number.
const LOOK: &str = "for i in $(seq $COUNT); do
        timeout 30 busybox wget -q -O - http://127.0.0.1:$((9000 + i))/
        cat /var/lib/vxn/volumes/many$i/_data/index.html
    done";

#[test]
fn twenty_containers_are_up_at_once_and_down_together() {
    let Some(host) = alone() else { return };
    let free = "xl info | awk '/^free_memory/ { print $3 }'";
    let free: u64 = host.dom0.shell(free).unwrap().text().parse().unwrap();
    let count = MOST.min(free / EACH_MIB);
    eprintln!("{count} containers, with {free} MiB free");
    assert!(count >= 8, "{free} MiB are free");
    let script = |text| {
        let run = host.dom0.command(["sh", "-c", text]).env("COUNT", count.to_string());
        run.timeout(crate::PATIENCE * 2).run().unwrap().success().unwrap().text()
    };
    script(START);
    let names: Vec<String> = (1..=count).map(|i| format!("many{i}")).collect();
    names.iter().for_each(|name| host.wait_for(name, "ready"));
    let expected: Vec<String> = (1..=count).map(|i| format!("{i}\n{i}")).collect();
    assert_eq!(script(LOOK), expected.join("\n"));
    let monitors: Vec<u32> = names.iter().map(|name| host.monitor_kib(name)).collect();
    eprintln!("monitors: {monitors:?} KiB");
    assert!(monitors.iter().all(|kib| *kib < MONITOR), "{monitors:?} KiB");
    let start = Instant::now();
    let stop = host.dom0.command(["vxn", "stop"]).args(&names).timeout(crate::PATIENCE);
    stop.run().unwrap().success().unwrap();
    let took = start.elapsed();
    eprintln!("stopped after {} ms", took.as_millis());
    assert!(took < STOPPED, "{took:?}");
    assert_eq!(host.ok(["ps", "-q"]), "");
    for verb in [&["vxn", "rm"][..], &["vxn", "volume", "rm"]] {
        let run = host.dom0.command(verb.iter().copied()).args(&names);
        run.run().unwrap().success().unwrap();
    }
    host.clean([]);
}
