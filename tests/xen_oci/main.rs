//! The OCI runtime on real Xen: by hand as runc's callers use it, and under Debian's own
//! podman, containerd and docker, unpatched.

mod containerd;
mod disks;
mod docker;
mod faults;
mod hooks;
mod limits;
mod network;
mod podman;
mod verbs;
mod writes;

use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use testbed::{Command, Dom0, HostState, Output};

/// The small image, made of Debian's busybox.
const BUSYBOX: &str = "oci:/srv/images/busybox";
/// The runtime, by the name under which callers have it.
const RUNTIME: &str = "/usr/bin/vxn-oci-runtime";
/// A start under software emulation on a busy machine.
const PATIENCE: Duration = Duration::from_secs(400);
/// A process that says that it runs, and ends when it is asked to.
const PATIENT: &str = "trap 'echo asked; exit 5' TERM; echo ready; while :; do sleep 1; done";

/// One test at a time: each sees that it leaves the host as it was.
static TURN: Mutex<()> = Mutex::new(());
/// The host when no test has a container.
static FOUND: OnceLock<HostState> = OnceLock::new();

struct Host {
    dom0: &'static Dom0,
    _turn: MutexGuard<'static, ()>,
}

/// The host for oneself; `None` where there can be none.
#[track_caller]
fn host() -> Option<Host> {
    let dom0 = testbed::shared()?;
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let host = Host { dom0, _turn: turn };
    FOUND.get_or_init(|| {
        // PV boots faster under emulation; podman hands no environment on.
        host.ok("echo 'type = \"pv\"' >>/etc/vxn/vxn.toml; echo 'memory = \"192M\"' >>/etc/vxn/vxn.toml");
        host.ok(&format!("vxn bundle {BUSYBOX} /tmp/warm -- true && vxn oci run -b /tmp/warm warm"));
        let conf = include_str!("../../share/containers.conf");
        host.ok(&format!("cat >/etc/containers/containers.conf <<'END'\n{conf}END"));
        host.ok(&format!("podman pull -q {BUSYBOX} && podman tag $(podman images -q) small"));
        // With its first container podman makes its bridge and the chains for published ports,
        // and leaves them so.
        host.ok(&podman::podman("run --rm -p 8080:80 small true"));
        host.state()
    });
    Some(host)
}

impl Host {
    fn shell(&self, script: &str) -> Command<'_> {
        self.dom0.command(["sh", "-c", script]).timeout(PATIENCE)
    }

    /// How `script` ends.
    #[track_caller]
    fn run(&self, script: &str) -> Output {
        self.shell(script).run().unwrap()
    }

    /// What `script` prints when it succeeds.
    #[track_caller]
    fn ok(&self, script: &str) -> String {
        self.run(script).success().unwrap().text()
    }

    /// How `script` fails, and with what words.
    #[track_caller]
    fn fails(&self, code: i32, words: &str, script: &str) {
        let output = self.run(script);
        assert_eq!(output.code, code, "{output}");
        assert!(output.error_text().contains(words), "no {words:?}: {output}");
    }

    /// A bundle of the small image at `/tmp/NAME` that runs `script`.
    #[track_caller]
    fn bundle(&self, name: &str, script: &str) -> String {
        let dir = format!("/tmp/{name}");
        let bundle = self.dom0.command(["vxn", "bundle", BUSYBOX, &dir, "--", "sh", "-c", script]);
        bundle.timeout(PATIENCE).run().unwrap().success().unwrap();
        dir
    }

    /// Waits until `file` holds `text`: each look is a command of its own, and they are
    /// as many as there is patience.
    #[track_caller]
    fn wait_for(&self, file: &str, text: &str) {
        let follow = self.shell(&format!("exec tail -n +1 -F {file}")).spawn().unwrap();
        let until = std::time::Instant::now() + PATIENCE;
        assert!(follow.stdout.wait_for(text.as_bytes(), until), "no {text:?} in {file}");
        follow.signal(9).unwrap();
        follow.wait().unwrap();
    }

    /// The host as it is. podman mounts its storage on itself, and at times leaves it so
    /// between two commands.
    #[track_caller]
    fn state(&self) -> HostState {
        let storage = "/var/lib/containers/storage/overlay";
        self.ok(&format!("! mountpoint -q {storage} || umount {storage}"));
        HostState::of(self.dom0).unwrap()
    }

    /// Sees that nothing is left.
    #[track_caller]
    fn clean(self) {
        self.ok("vxn info >/dev/null");
        let now = self.state();
        let difference = FOUND.get().unwrap().difference(&now);
        assert!(difference.is_empty(), "left over:\n{difference}");
    }
}
