//! What there is to know when a test on a Dom0 has failed, where nobody can look.

use std::thread;

use crate::dom0::Dom0;

/// How each container stands, the room that is left, and the latest words of the
/// guests and of Xen.
const LOOK: &str = "vxn ps -aq | while read id; do vxn inspect -f \
        '{{.Name}}: {{.State.Status}} {{.State.ExitCode}} {{.State.Error}}' $id; done; \
    free -m; df -m / /tmp; cd /mnt/logs; \
    ls -t guest-*.log | head -n 3 | xargs tail -n 12; tail -n 12 xen-dom0.log";

/// Prints it when the test that holds this panics.
#[derive(Debug)]
pub struct Witness(pub &'static Dom0);

impl Drop for Witness {
    fn drop(&mut self) {
        if thread::panicking()
            && let Ok(output) = self.0.shell(LOOK)
        {
            eprintln!("--- Dom0 when the test failed:\n{}", output.text());
        }
    }
}
