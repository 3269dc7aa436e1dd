//! What the host is told when it looks.

use vxn_proto::{Answer, ProcessId, ProcessInfo, Query};

use crate::host::{Host, MAIN, shell, spec};

fn processes(host: &mut Host) -> Vec<ProcessInfo> {
    let Answer::Processes { processes, omitted } = host.ask(Query::Processes) else {
        panic!("another answer")
    };
    assert_eq!(omitted, 0);
    processes
}

/// The one whose command line holds `mark`; this machine may have other containers.
fn find(processes: &[ProcessInfo], mark: &str) -> ProcessInfo {
    let is = |info: &&ProcessInfo| String::from_utf8_lossy(&info.command).contains(mark);
    processes.iter().find(is).unwrap_or_else(|| panic!("no {mark}: {processes:?}")).clone()
}

pub fn processes_and_usage_are_told() {
    let mut host = Host::new();
    host.started(MAIN, shell("sleep 4711 & wait"));
    let mut app = spec(&["sleep", "4712"]);
    app.user = "app".into();
    host.started(ProcessId(1), app);
    let all = processes(&mut host);
    let (shell, child, app) = (find(&all, "wait"), find(&all, "4711\0"), find(&all, "4712\0"));
    assert_eq!((shell.pid, shell.parent, child.parent), (2, 0, 2));
    assert_eq!((app.uid, app.user.as_str(), app.parent, app.threads), (1000, "app", 0, 1));
    assert_eq!(
        (app.command.as_slice(), app.name.as_slice()),
        (&b"sleep\x004712\0"[..], &b"sleep"[..])
    );
    assert!(app.resident_bytes > 0 && app.virtual_bytes > app.resident_bytes);
    assert!(all.iter().all(|info| info.pid != 1), "{all:?}");
    let Answer::Usage(usage) = host.ask(Query::Usage) else { panic!("another answer") };
    // Guests of other tests on this machine are in the same control group.
    assert!(usage.tasks >= 3, "{usage:?}");
    assert!(usage.memory_used > 0 && usage.memory_used < usage.memory_total);
    assert!(host.hang_up());
}
