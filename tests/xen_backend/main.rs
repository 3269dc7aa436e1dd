//! The drop-in for vrunner.sh on real Xen: scripts that source it as vrunner.sh
//! does, DomUs booted from vcontainer's blobs, and no `xl` on the PATH.

mod daemon;
mod hard;
mod kills;
mod network;
mod runs;

use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use testbed::{Command, Dom0, HostState, Output};

/// The order in which vrunner.sh calls the backend.
const VRUNNER: &str = include_str!("vrunner.sh");
/// What makes the blobs, and what goes into them.
const BLOBS: [(&str, &str); 4] = [
    ("make-blobs", include_str!("../../testbed/vcontainer/make-blobs")),
    ("preinit", include_str!("../../testbed/vcontainer/preinit")),
    ("init", include_str!("../../testbed/vcontainer/init")),
    ("udhcpc", include_str!("../../testbed/vcontainer/udhcpc")),
];
const DROP_IN: &str = include_str!("../../share/vrunner-backend-xen.sh");

/// The blobs; every tool but xl; and a daemon that runs a command which says
/// nothing for three minutes, while the other tests do theirs.
const SETUP: &str = r#"
set -e
chmod +x /root/vcontainer/make-blobs
/root/vcontainer/make-blobs /srv/blobs
mkdir -p /root/tools
ln -sf /usr/sbin/* /usr/bin/* /root/tools
rm /root/tools/xl
"#;
const QUIET: &str = r#"
export CONTAINER_NAME=quiet DAEMON_SOCKET_DIR=/root/quiet
. /root/vrunner.sh
prepare; daemon_start
( code=0; hv_daemon_send 'sleep 180; echo at last' >/root/quiet/out || code=$?
  echo "$code" >/root/quiet/code ) >/dev/null 2>&1 </dev/null &
"#;
/// Whatever a test that failed has left.
const CLEAN: &str = r#"
for name in /run/vxn/backend/names/*; do
    case ${name##*/} in vxn-quiet | \*) continue ;; esac
    vxn backend destroy "${name##*/}"
done
ip netns del other 2>/dev/null
rm -rf /root/daemon
"#;
/// What belongs to that daemon has this in its name.
const OF_QUIET: &str = "quiet";

/// DomUs under software emulation on a busy machine.
const PATIENCE: Duration = Duration::from_secs(600);

/// Dom0 for one test at a time.
struct Host {
    dom0: &'static Dom0,
    before: HostState,
    _turn: MutexGuard<'static, ()>,
}

impl Host {
    /// `None` where there can be no Dom0.
    #[track_caller]
    fn new() -> Option<Host> {
        static TURN: Mutex<()> = Mutex::new(());
        static READY: OnceLock<()> = OnceLock::new();
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let dom0 = testbed::shared()?;
        READY.get_or_init(|| set_up(dom0));
        dom0.shell(CLEAN).unwrap();
        Some(Host { dom0, before: HostState::of(dom0).unwrap(), _turn: turn })
    }

    /// A script that has sourced the drop-in.
    fn script(&self, body: &str) -> Command<'static> {
        script(self.dom0, body)
    }

    #[track_caller]
    fn run(&self, body: &str) -> Output {
        self.script(body).run().unwrap()
    }

    /// The output of a script that has to succeed.
    #[track_caller]
    fn ok(&self, body: &str) -> String {
        self.run(body).success().unwrap().text()
    }

    /// Nothing is left but what was there before.
    #[track_caller]
    fn leaves_nothing(&self) {
        let mut left = self.before.difference(&HostState::of(self.dom0).unwrap());
        left.added.retain(|line| !line.contains(OF_QUIET));
        left.removed.retain(|line| !line.contains(OF_QUIET));
        assert!(left.is_empty(), "{left}");
    }
}

fn script(dom0: &'static Dom0, body: &str) -> Command<'static> {
    let script = format!(". /root/vrunner.sh\n{body}");
    dom0.command(["bash", "-c", &script]).timeout(PATIENCE)
}

fn set_up(dom0: &'static Dom0) {
    dom0.shell("mkdir -p /root/vcontainer /usr/share/vxn").unwrap();
    for (name, text) in BLOBS {
        dom0.write(&format!("/root/vcontainer/{name}"), text).unwrap();
    }
    dom0.write("/usr/share/vxn/vrunner-backend-xen.sh", DROP_IN).unwrap();
    dom0.write("/root/vrunner.sh", VRUNNER).unwrap();
    dom0.shell(SETUP).unwrap().success().unwrap();
    dom0.command(["bash", "-c", QUIET]).timeout(PATIENCE).run().unwrap().success().unwrap();
}
