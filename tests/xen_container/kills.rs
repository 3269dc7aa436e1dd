//! SIGKILL to a monitor: the next vxn command puts everything in order.

use crate::{PATIENT, TICKING, alone};

#[test]
fn a_container_whose_monitor_is_killed_has_ended() {
    let Some(host) = alone() else { return };
    host.start("lost", ["--restart", "always"], TICKING);
    host.start("fleeting", ["--rm"], PATIENT);
    let attached = host.attach(["lost"]);
    let script = "kill -KILL $(vxn inspect --format '{{.State.Pid}}' lost fleeting)";
    host.dom0.shell(script).unwrap().success().unwrap();
    let output = attached.wait().unwrap();
    assert_eq!(output.code, 1, "{output}");
    assert!(output.error_text().contains("monitor was killed"), "{output}");
    assert_eq!(
        host.ok(["ps", "-a", "--format", "{{.Names}} {{.Status}}"]).split(' ').next(),
        Some("lost")
    );
    let state = host.field("lost", "{{.State.Status}} {{.State.ExitCode}} {{.State.Error}}");
    assert_eq!(state, "exited 137 the container's monitor was killed");
    host.ok(["start", "lost"]);
    host.clean(["lost"]);
}
