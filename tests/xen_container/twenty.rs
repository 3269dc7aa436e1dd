//! As many containers at once as the host has memory for, each with a port and a volume.

use std::time::{Duration, Instant};

use crate::alone;

/// Wanted; fewer where there is no memory for them.
const MOST: u64 = 20;
/// What one takes of the host: its memory, and what Xen needs for it.
const EACH_MIB: u64 = 136;
/// What a monitor may take of Dom0's memory, in KiB.
const MONITOR: u32 = 4 * 1024;
/// How long each takes to end when it is asked to, at least.
const GRACE: Duration = Duration::from_secs(3);

/// Starts them, two at a time; each serves its number from its volume.
const START: &str = "seq 101 $LAST | xargs -P 2 -I % vxn run -d -m 128M --type pv --name many% \
    -p 127.0.0.1:9%:80 -v many%:/data oci:/srv/images/busybox sh -c \
    'echo % >/data/index.html; httpd -p 80 -h /data; trap \"sleep 3; exit 0\" TERM; \
     echo ready; sleep 100000 & wait'";

/// Each port and each volume has its own number.
const LOOK: &str = "for i in $(seq 101 $LAST); do \
        timeout 30 busybox wget -q -O - http://127.0.0.1:9$i/; \
        cat /var/lib/vxn/volumes/many$i/_data/index.html; \
    done";

#[test]
fn twenty_containers_are_up_at_once_and_down_together() {
    let Some(host) = alone() else { return };
    let free = "xl info | awk '/^free_memory/ { print $3 }'";
    let free: u64 = host.dom0.shell(free).unwrap().text().parse().unwrap();
    let count = MOST.min(free / EACH_MIB);
    eprintln!("{count} containers, with {free} MiB free");
    assert!(count >= 8, "{free} MiB are free");
    let numbers = 101..=100 + count;
    let script = |text| {
        let run = host.dom0.command(["sh", "-c", text]).env("LAST", numbers.end().to_string());
        run.timeout(2 * crate::PATIENCE).run().unwrap().success().unwrap().text()
    };
    let start = Instant::now();
    script(START);
    let names: Vec<String> = numbers.clone().map(|i| format!("many{i}")).collect();
    names.iter().for_each(|name| host.wait_for(name, "ready"));
    eprintln!("up after {} ms", start.elapsed().as_millis());
    let expected: Vec<String> = numbers.clone().map(|i| format!("{i}\n{i}")).collect();
    assert_eq!(script(LOOK), expected.join("\n"));
    let monitors: Vec<u32> = names.iter().map(|name| host.monitor_kib(name)).collect();
    eprintln!("monitors: {monitors:?} KiB");
    assert!(monitors.iter().all(|kib| *kib < MONITOR), "{monitors:?} KiB");
    let start = Instant::now();
    let stop = host.dom0.command(["vxn", "stop"]).args(&names).timeout(crate::PATIENCE);
    stop.run().unwrap().success().unwrap();
    let took = start.elapsed();
    eprintln!("stopped after {} ms", took.as_millis());
    assert!(took < GRACE * count as u32, "one after the other: {took:?}");
    assert_eq!(host.ok(["ps", "-q"]), "");
    let codes = host.ok(["ps", "-a", "--format", "{{.Status}}"]);
    assert!(codes.lines().all(|status| status.starts_with("Exited (0)")), "{codes}");
    for verb in [&["vxn", "rm"][..], &["vxn", "volume", "rm"]] {
        let run = host.dom0.command(verb.iter().copied()).args(&names);
        run.run().unwrap().success().unwrap();
    }
    host.clean([]);
}
