//! `vxn run` on real Xen, as a user meets it: output, exit codes, arguments,
//! streams, signals, failures, kills, many at once. PV and PVH.

mod failures;
mod kills;
mod many;
mod process;
mod signals;
mod streams;

use std::sync::{OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use testbed::{Command, Dom0, HostState};

/// The small image, made of Debian's busybox.
const BUSYBOX: &str = "oci:/srv/images/busybox";
/// The same with every setting that an image can make.
const CONFIGURED: &str = "oci:/srv/images/configured";
/// Both guest types: what holds on one holds on the other.
const TYPES: [&str; 2] = ["pv", "pvh"];
/// A start under software emulation on a busy machine.
const PATIENCE: Duration = Duration::from_secs(400);

/// Held for reading by tests that mind their own DomUs, for writing by those
/// that compare all that is on the host before and after.
static HOST: RwLock<()> = RwLock::new(());

struct Shared<'a> {
    dom0: &'a Dom0,
    _others: RwLockReadGuard<'static, ()>,
}

struct Alone<'a> {
    dom0: &'a Dom0,
    before: HostState,
    _others: RwLockWriteGuard<'static, ()>,
}

/// A Dom0 that other tests use too; `None` where there can be none.
#[track_caller]
fn shared() -> Option<Shared<'static>> {
    let dom0 = testbed::shared()?;
    Some(Shared { dom0, _others: HOST.read().unwrap_or_else(PoisonError::into_inner) })
}

/// A Dom0 of one's own, to be left as it was found.
#[track_caller]
fn alone() -> Option<Alone<'static>> {
    let dom0 = testbed::shared()?;
    let _others = HOST.write().unwrap_or_else(PoisonError::into_inner);
    // The image's root disk and the unpacked kernel are made once and stay.
    static WARM: OnceLock<()> = OnceLock::new();
    WARM.get_or_init(|| drop(vxn(dom0, [BUSYBOX, "true"]).run().unwrap().success().unwrap()));
    Some(Alone { dom0, before: HostState::of(dom0).unwrap(), _others })
}

impl Alone<'_> {
    /// Nothing more and nothing less is on the host than before.
    #[track_caller]
    fn assert_as_found(&self, after: &str) {
        let difference = self.before.difference(&HostState::of(self.dom0).unwrap());
        assert!(difference.is_empty(), "left after {after}:\n{difference}");
    }
}

/// `vxn run` with small memory, so that many fit, of a container that leaves
/// nothing. PV where the test does not say, which boots faster under emulation.
fn vxn<'a, const N: usize>(dom0: &'a Dom0, args: [&str; N]) -> Command<'a> {
    let rm = (!args.contains(&"--rm")).then_some("--rm");
    let run = dom0.command(["vxn", "run", "-m", "160M"]).args(rm).args(args);
    run.env("VXN_TYPE", "pv").timeout(PATIENCE)
}
