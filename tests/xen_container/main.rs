//! Containers that outlive their command, on real Xen: their verbs, what they
//! write, what they say, what runs in them, and what is left when their monitors
//! are killed.

mod exec;
mod kills;
mod layer;
mod lifecycle;
mod logs;
mod terminal;
mod volumes;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use testbed::{Command, Dom0, HostState, Output, Running};

/// The small image, made of Debian's busybox.
const BUSYBOX: &str = "oci:/srv/images/busybox";
/// A start under software emulation on a busy machine.
const PATIENCE: Duration = Duration::from_secs(400);
/// A process that says that it runs, and ends when it is asked to.
const PATIENT: &str = "trap 'echo asked; exit 5' TERM; echo ready; while :; do sleep 1; done";
/// The same, for those who come later.
const TICKING: &str = "trap 'echo asked; exit 5' TERM; while :; do echo tick; sleep 1; done";

/// One test at a time has the host, and leaves it as it was.
static HOST: Mutex<()> = Mutex::new(());

struct Host {
    dom0: &'static Dom0,
    before: HostState,
    _others: MutexGuard<'static, ()>,
}

/// The host for oneself; `None` where there can be none.
#[track_caller]
fn host() -> Option<Host> {
    let dom0 = testbed::shared()?;
    let _others = HOST.lock().unwrap_or_else(PoisonError::into_inner);
    // What an earlier test has left when it failed; then the root disk and the
    // kernel, which are made once and stay.
    dom0.shell("vxn rm -f $(vxn ps -aq)").unwrap();
    let warm = dom0.command(["vxn", "run", "--rm", "-m", "160M", BUSYBOX, "true"]);
    warm.timeout(PATIENCE).run().unwrap().success().unwrap();
    Some(Host { dom0, before: HostState::of(dom0).unwrap(), _others })
}

impl Host {
    /// `vxn` with `args`; new containers are PV, which boots faster under emulation.
    fn vxn<const N: usize>(&self, args: [&str; N]) -> Command<'_> {
        self.dom0.command(["vxn"]).args(args).env("VXN_TYPE", "pv").timeout(PATIENCE)
    }

    /// What `vxn` with `args` prints when it succeeds.
    #[track_caller]
    fn ok<const N: usize>(&self, args: [&str; N]) -> String {
        self.vxn(args).run().unwrap().success().unwrap().text()
    }

    /// How `vxn` with `args` fails, with what code.
    #[track_caller]
    fn fails<const N: usize>(&self, code: i32, what: &str, args: [&str; N]) -> Output {
        let output = self.vxn(args).run().unwrap();
        assert_eq!(output.code, code, "{output}");
        assert!(output.error_text().contains(what), "no {what:?}: {output}");
        output
    }

    /// A detached container called `name` that runs `script`.
    #[track_caller]
    fn start<const N: usize>(&self, name: &str, flags: [&str; N], script: &str) -> String {
        let run = self.vxn(["run", "-d", "-m", "160M", "--name", name]).args(flags);
        let output = run.args([BUSYBOX, "sh", "-c", script]).run().unwrap();
        output.success().unwrap().text()
    }

    /// An `attach` that has seen the container's output.
    #[track_caller]
    fn attach<const N: usize>(&self, args: [&str; N]) -> Running<'_> {
        let attached = self.vxn(["attach"]).args(args).spawn().unwrap();
        assert!(attached.stdout.wait_for(b"tick", Instant::now() + PATIENCE));
        attached
    }

    /// A field of `inspect`.
    #[track_caller]
    fn field(&self, name: &str, field: &str) -> String {
        self.ok(["inspect", "--format", field, name])
    }

    /// Waits until the container has said `text`.
    #[track_caller]
    fn wait_for(&self, name: &str, text: &str) {
        let logs = self.vxn(["logs", "-f", name]).spawn().unwrap();
        let said = logs.stdout.wait_for(text.as_bytes(), Instant::now() + PATIENCE);
        assert!(said, "{name} did not say {text:?}");
        logs.signal(9).unwrap();
        logs.wait().unwrap();
    }

    /// Removes the containers, and sees that nothing is left of them.
    #[track_caller]
    fn clean<const N: usize>(&self, names: [&str; N]) {
        for name in names {
            self.ok(["rm", "-f", name]);
        }
        let difference = self.before.difference(&HostState::of(self.dom0).unwrap());
        assert!(difference.is_empty(), "left over:\n{difference}");
    }
}
