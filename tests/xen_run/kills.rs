//! SIGKILL at any moment: the next vxn command leaves a clean host.

use std::time::Instant;

use testbed::Dom0;

use crate::{BUSYBOX, alone, vxn};

/// Moments of a run, as parts of its length.
const MOMENTS: u32 = 10;

/// Until no vxn process is left, at most a minute: a monitor whose front was
/// killed takes its DomU down by itself.
fn wait_for_monitors(dom0: &Dom0) {
    let script =
        "for i in $(seq 600); do pgrep -x vxn >/dev/null || exit 0; sleep 0.1; done; exit 1";
    dom0.shell(script).unwrap().success().unwrap();
}

/// Whom to kill at every so many moments, by a script that gets the front's pid. Early
/// moments have no monitor yet.
fn at_moments(step: usize, script: impl Fn(u32, i32) -> String) {
    let Some(host) = alone() else { return };
    let started = Instant::now();
    vxn(host.dom0, ["--rm", BUSYBOX, "true"]).run().unwrap().success().unwrap();
    let length = started.elapsed();
    for moment in (0..MOMENTS).step_by(step) {
        let running = vxn(host.dom0, ["--rm", "--name", "doomed", BUSYBOX, "sleep", "1000"]);
        let running = running.spawn().unwrap();
        // The moment itself is what is tested; there is no event to wait for.
        std::thread::sleep(length * moment / MOMENTS);
        let script = script(moment, running.pid);
        host.dom0.shell(&script).unwrap();
        let output = running.wait().unwrap();
        assert_ne!(output.code, 0, "{output}");
        wait_for_monitors(host.dom0);
        host.dom0.run(["vxn", "info"]).unwrap().success().unwrap();
        host.assert_as_found(&format!("`{script}` at {moment}/{MOMENTS} of a run"));
    }
}

#[test]
fn everything_killed_at_ten_moments() {
    at_moments(1, |_, front| format!("kill -KILL {front}; pkill -KILL -x vxn"));
}

#[test]
fn one_of_the_two_killed_at_four_moments() {
    at_moments(3, |moment, front| match moment % 2 {
        0 => format!("kill -KILL {front}"),
        _ => format!("pkill -KILL -P {front} -x vxn || kill -KILL {front}"),
    });
}
