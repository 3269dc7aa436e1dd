//! What is left when those who have a container are killed.

use crate::{PATIENT, RUNTIME, host};

#[test]
fn a_killed_monitor_leaves_a_container_that_has_stopped() {
    let Some(host) = host() else { return };
    let dir = host.bundle("killed", PATIENT);
    host.ok(&format!(
        "{RUNTIME} create -b {dir} --pid-file {dir}/pid killed </dev/null >{dir}/out 2>&1 \
         && {RUNTIME} start killed && kill -9 $(cat {dir}/pid)"
    ));
    // Whatever command comes next clears up.
    assert!(host.ok(&format!("{RUNTIME} state killed")).contains("\"stopped\""));
    host.ok(&format!("{RUNTIME} delete killed"));
    host.clean();
}

#[test]
fn a_container_that_was_never_started_is_killed_or_deleted() {
    let Some(host) = host() else { return };
    let dir = host.bundle("waiting", "true");
    let create = |id: &str| {
        host.ok(&format!(
            "{RUNTIME} create -b {dir} --pid-file {dir}/pid {id} </dev/null >/dev/null 2>&1"
        ));
    };
    create("one");
    host.ok(&format!("{RUNTIME} kill one KILL"));
    host.ok(&format!("pid=$(cat {dir}/pid); while [ -d /proc/$pid ]; do sleep 0.1; done"));
    host.fails(1, "has stopped", &format!("{RUNTIME} start one"));
    host.ok(&format!("{RUNTIME} delete one"));
    host.ok(&format!(
        "sed -i 's|\"linux\": {{|&\"cgroupsPath\": \"/waiting\",|' {dir}/config.json"
    ));
    create("two");
    host.ok(&format!("{RUNTIME} delete two && [ ! -e /sys/fs/cgroup/waiting ]"));
    create("three");
    // The same id below another root is another container.
    host.ok(&format!(
        "{RUNTIME} --root /tmp/other create -b {dir} three </dev/null >/dev/null 2>&1"
    ));
    host.ok(&format!("kill -9 $(cat {dir}/pid)"));
    host.ok(&format!("{RUNTIME} delete three && {RUNTIME} --root /tmp/other delete three"));
    host.clean();
}
