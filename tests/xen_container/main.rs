//! Containers that outlive their command, on real Xen: their verbs, what they
//! write, what they say, what runs in them, and what is left when their monitors
//! are killed.

mod durable;
mod erofs;
mod exec;
mod files;
mod flags;
mod hostile;
mod kills;
mod layer;
mod lifecycle;
mod limits;
mod logs;
mod looking;
mod networks;
mod seccomp;
mod server;
mod terminal;
mod twenty;
mod volumes;

use std::sync::{OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, TryLockError};
use std::time::{Duration, Instant};

use testbed::{Command, Dom0, HostState, Output, Running, Witness};

/// The small image, made of Debian's busybox.
const BUSYBOX: &str = "oci:/srv/images/busybox";
/// nginx, SQLite and a compiler, of Debian's packages.
const WORKSHOP: &str = "oci:/srv/images/workshop";
/// A start under software emulation on a busy machine.
const PATIENCE: Duration = Duration::from_secs(400);
/// A process that says that it runs, and ends when it is asked to.
const PATIENT: &str = "trap 'echo asked; exit 5' TERM; echo ready; while :; do sleep 1; done";
/// The same, for those who come later.
const TICKING: &str = "trap 'echo asked; exit 5' TERM; while :; do echo tick; sleep 1; done";

/// Held for reading by tests that mind their own containers, for writing by those
/// that look at all there are.
static HOST: RwLock<()> = RwLock::new(());
/// The host when no test has a container.
static FOUND: OnceLock<HostState> = OnceLock::new();

struct Host {
    dom0: &'static Dom0,
    /// Looks before the turn is over.
    _witness: Witness,
    turn: Turn,
}

enum Turn {
    Shared(RwLockReadGuard<'static, ()>),
    Alone(RwLockWriteGuard<'static, ()>),
}

/// A host with other tests on it; `None` where there can be none.
#[track_caller]
fn host() -> Option<Host> {
    let dom0 = testbed::shared()?;
    FOUND.get_or_init(|| found(dom0));
    let turn = Turn::Shared(HOST.read().unwrap_or_else(PoisonError::into_inner));
    Some(Host { dom0, _witness: Witness(dom0), turn })
}

/// The host for oneself.
#[track_caller]
fn alone() -> Option<Host> {
    let dom0 = testbed::shared()?;
    FOUND.get_or_init(|| found(dom0));
    let turn = Turn::Alone(HOST.write().unwrap_or_else(PoisonError::into_inner));
    // What an earlier test has left when it failed.
    dom0.shell("left=$(vxn ps -aq); [ -z \"$left\" ] || vxn rm -f $left").unwrap();
    Some(Host { dom0, _witness: Witness(dom0), turn })
}

/// With the root disk and the kernel, which are made once and stay.
fn found(dom0: &Dom0) -> HostState {
    let warm = dom0.command(["vxn", "run", "--rm", "-m", "160M", "--type", "pv"]);
    warm.args([BUSYBOX, "true"]).timeout(PATIENCE).run().unwrap().success().unwrap();
    HostState::of(dom0).unwrap()
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

    /// A detached container called `name` that runs `script`, without a network,
    /// which costs seconds of a start.
    #[track_caller]
    fn start<const N: usize>(&self, name: &str, flags: [&str; N], script: &str) -> String {
        let run = self.vxn(["run", "-d", "-m", "160M", "--network", "none", "--name", name]);
        let output = run.args(flags).args([BUSYBOX, "sh", "-c", script]).run().unwrap();
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

    /// What the events of the last hour say of a container, under the name it has.
    #[track_caller]
    fn told(&self, name: &str) -> String {
        let container = format!("container={name}");
        let past = ["events", "--since", "1h", "--until", "0s", "--format", "{{.Action}}"];
        let past = self.vxn(past).args(["-f", &container]).run().unwrap();
        past.success().unwrap().text()
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

    /// Removes the containers, and sees that nothing is left of them: the last of
    /// those who share the host looks, and who is alone.
    #[track_caller]
    fn clean<const N: usize>(self, names: [&str; N]) {
        for name in names {
            self.ok(["rm", "-f", name]);
        }
        let _alone = match self.turn {
            Turn::Alone(guard) => guard,
            Turn::Shared(guard) => {
                drop(guard);
                match HOST.try_write() {
                    Ok(guard) => guard,
                    Err(TryLockError::Poisoned(e)) => e.into_inner(),
                    Err(TryLockError::WouldBlock) => return,
                }
            }
        };
        let difference = FOUND.get().unwrap().difference(&HostState::of(self.dom0).unwrap());
        assert!(difference.is_empty(), "left over:\n{difference}");
    }
}
