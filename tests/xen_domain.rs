//! `vxn domain` on real Xen: what xl does, with vxn-hotplug for the devices.
//!
//! The guests are Debian's kernel and a busybox that does what the kernel's
//! command line says. Tests take turns: each looks for leftovers at its end.

use std::sync::{Mutex, MutexGuard, OnceLock};

use testbed::{Dom0, HostState, Output};

/// Makes `/root/guest.cpio`, an initramfs whose init does `do=…`.
const MAKE_GUEST: &str = r#"
set -e
mkdir -p /root/guest/proc /root/guest/sys /root/guest/dev /root/guest/lib
cd /root/guest
for blob in /srv/images/busybox/blobs/sha256/*; do tar -xzf $blob 2>/dev/null || true; done
cp /lib/modules/$(uname -r)/kernel/drivers/block/xen-blkfront.ko lib/
cat > init <<'END'
#!/bin/busybox sh
busybox mount -t proc proc /proc
busybox mount -t devtmpfs dev /dev
busybox insmod /lib/xen-blkfront.ko
echo guest is up
case "$(busybox cat /proc/cmdline)" in
*do=copy*)
    until [ -b /dev/xvda ] && [ -b /dev/xvdb ]; do busybox usleep 10000; done
    busybox dd if=/dev/xvda of=/dev/xvdb bs=4096 count=1
    busybox sync
    echo x | busybox dd of=/dev/xvda conv=fsync 2>&1 && echo a read-only disk was written
    busybox poweroff -f ;;
*do=poweroff*) busybox poweroff -f ;;
*do=reboot*) busybox reboot -f ;;
*do=crash*) echo c > /proc/sysrq-trigger ;;
esac
while :; do busybox sleep 1000; done
END
# What the kernel runs when Dom0 asks for a shutdown.
rm -f sbin/poweroff; mkdir -p sbin
printf '#!/bin/busybox sh\nexec busybox poweroff -f\n' > sbin/poweroff
chmod +x init sbin/poweroff
find . | busybox cpio -o -H newc > /root/guest.cpio
ip link add testbr0 type bridge
ip link set testbr0 up
# The first command after a boot leaves its mark.
vxn ps
"#;

/// Dom0 for one test.
struct Host {
    dom0: &'static Dom0,
    before: HostState,
    _turn: MutexGuard<'static, ()>,
}

impl Host {
    #[track_caller]
    fn new() -> Option<Host> {
        static TURN: Mutex<()> = Mutex::new(());
        static GUEST: OnceLock<()> = OnceLock::new();
        let turn = TURN.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let dom0 = testbed::shared()?;
        GUEST.get_or_init(|| drop(dom0.shell(MAKE_GUEST).and_then(Output::success).unwrap()));
        Some(Host { dom0, before: HostState::of(dom0).unwrap(), _turn: turn })
    }

    #[track_caller]
    fn shell(&self, script: &str) -> Output {
        self.dom0.shell(script).unwrap()
    }

    #[track_caller]
    fn ok(&self, script: &str) -> String {
        self.shell(script).success().unwrap().text()
    }

    /// The stderr of a script that fails.
    #[track_caller]
    fn refusal(&self, script: &str) -> String {
        let output = self.shell(script);
        assert_eq!(output.code, 1, "{output}");
        output.error_text()
    }

    /// Writes `/root/NAME.cfg`.
    fn config(&self, name: &str, kind: &str, action: &str, more: &str) {
        let text = format!(
            "name = '{name}'\ntype = '{kind}'\nmemory = 160\nramdisk = '/root/guest.cpio'\n\
             kernel = '$(echo /boot/vmlinuz-*)'\n\
             extra = 'console=hvc0 quiet loglevel=0 do={action}'\n{more}\n"
        );
        self.ok(&format!("cat > /root/{name}.cfg <<END\n{text}END"));
    }

    /// Waits until there is no domain `name` and no monitor.
    fn wait_gone(&self, name: &str) {
        self.ok(&format!(
            "for i in $(seq 600); do xl domid {name} >&2 || pgrep -f '[d]omain monitor' >&2 || exit 0; \
             sleep 0.2; done; exit 1"
        ));
    }

    #[track_caller]
    fn leaves_nothing(&self) {
        let difference = self.before.difference(&HostState::of(self.dom0).unwrap());
        assert!(difference.is_empty(), "{difference}");
    }
}

/// A guest copies the start of a read-only disk to a writable one, and powers off.
fn disks_console_and_end(kind: &str) {
    let Some(host) = Host::new() else { return };
    let name = format!("copy-{kind}");
    host.ok("cd /root; rm -f a.img b.img; echo from a > a.img; truncate -s 1M a.img b.img");
    host.config(
        &name,
        kind,
        "copy",
        "disk = [ 'phy:/root/a.img,xvda,r', '/root/b.img,raw,xvdb,w' ]\n\
         vif = [ 'bridge=testbr0' ]\non_reboot = 'destroy'",
    );
    let console = host.dom0.despite_resets(|| {
        let console = host.ok(&format!("vxn domain create --console /root/{name}.cfg"));
        host.wait_gone(&name);
        console
    });
    assert!(console.contains("guest is up"), "{console}");
    assert!(!console.contains("was written"), "{console}");
    assert_eq!(host.ok("head -c 6 /root/b.img"), "from a");
    host.leaves_nothing();
}

#[test]
fn disks_console_and_end_on_pv() {
    disks_console_and_end("pv");
}

#[test]
fn disks_console_and_end_on_pvh() {
    disks_console_and_end("pvh");
}

#[test]
fn the_verbs_of_a_life() {
    let Some(host) = Host::new() else { return };
    host.config("life", "pv", "wait", "vif = [ 'bridge=testbr0,vifname=life0' ]");
    let made = host.ok("vxn domain create --json --paused /root/life.cfg memory=176");
    let domid = host.ok("xl domid life");
    assert!(made.starts_with(&format!("{{\"domid\":{domid},")), "{made}");
    assert!(host.ok("vxn domain list").contains("  176     1     --p---"));
    assert_eq!(host.ok("cat /sys/class/net/life0/brport/state"), "0");
    host.ok("vxn domain unpause life");
    assert!(!host.ok("vxn domain list life").contains("--p---"));
    host.ok(&format!("vxn domain pause {domid}"));
    assert!(host.ok("vxn domain list --json life").contains("\"paused\": true"));
    assert!(host.refusal("vxn domain create /root/life.cfg").contains("life"));
    host.ok("vxn domain destroy life");
    assert!(host.refusal("vxn domain list life").contains("there is no domain life"));
    host.wait_gone("life");
    host.leaves_nothing();
}

#[test]
fn a_guest_that_is_asked_to_powers_off() {
    let Some(host) = Host::new() else { return };
    host.config("asked", "pv", "wait", "");
    let console = host.shell(
        "vxn domain create /root/asked.cfg; \
         (until grep -q 'guest is up' /root/console; do sleep 0.2; done; \
          vxn domain shutdown --wait asked) & \
         vxn domain console asked > /root/console; wait; cat /root/console",
    );
    assert!(console.text().contains("guest is up"), "{console}");
    host.wait_gone("asked");
    host.ok("rm /root/console");
    host.leaves_nothing();
}

#[test]
fn writable_disks_are_exclusive() {
    let Some(host) = Host::new() else { return };
    host.ok("cd /root; truncate -s 1M c.img; ln -f c.img c-link.img");
    host.config("one", "pv", "wait", "");
    host.config("two", "pv", "wait", "");
    host.ok("for n in one two; do vxn domain create --paused /root/$n.cfg; done");
    host.ok("vxn domain block-attach one /root/c.img,raw,xvda,w");
    let error =
        host.refusal("vxn domain block-attach two vdev=xvda,access=r,target=/root/c-link.img");
    let expected = "/root/c-link.img: cannot be attached read-only, it is in use for writing by \
                    domain \"one\"";
    assert!(error.contains(expected), "{error}");
    host.ok("vxn domain block-detach one xvda");
    host.ok("for n in one two; do vxn domain block-attach $n /root/c.img,raw,xvda,r; done");
    let list = host.ok("vxn domain block-list one two");
    assert_eq!(list.matches("xvda   ro     /root/c.img").count(), 2, "{list}");
    host.ok("rm /root/c.img /root/c-link.img; vxn domain destroy one two");
    host.wait_gone("one");
    host.leaves_nothing();
}

#[test]
fn a_guest_that_reboots_comes_back_with_its_disks() {
    let Some(host) = Host::new() else { return };
    host.ok("cd /root; truncate -s 1M d.img");
    host.config("again", "pv", "reboot", "disk = [ '/root/d.img,raw,xvda,w' ]");
    let first = host.ok("vxn domain create --json /root/again.cfg | grep -o '\"domid\":[0-9]*'");
    host.ok(&format!(
        "for i in $(seq 600); do d=$(xl domid again 2>&-) && [ \"\\\"domid\\\":$d\" != '{first}' ] \
         && exit 0; sleep 0.02; done; exit 1"
    ));
    // The first of these comes while libxl still makes it. It goes on rebooting: what
    // ends it is that somebody destroys it while it runs.
    host.ok("until vxn domain destroy again 2>&- && sleep 1 && ! xl domid again; do :; done");
    host.wait_gone("again");
    host.leaves_nothing();
}

#[test]
fn a_guest_that_crashed_can_be_kept() {
    let Some(host) = Host::new() else { return };
    host.config("kept", "pv", "crash", "on_crash = 'preserve'");
    host.ok("vxn domain create /root/kept.cfg");
    host.ok("for i in $(seq 600); do vxn domain list kept | grep -q -- ---sc- && exit 0; sleep 0.2; done; exit 1");
    host.ok("vxn domain destroy kept");
    host.wait_gone("kept");
    host.leaves_nothing();
}

#[test]
fn what_cannot_be_made_is_refused_and_leaves_nothing() {
    let Some(host) = Host::new() else { return };
    host.config("no", "pv", "wait", "");
    for (more, expected) in [
        ("maxmem=3", "unknown key \"maxmem\""),
        ("memory=1000000", "not enough memory for domain \"no\": it needs"),
        ("'kernel=\"/none\"'", "cannot read /none: No such file or directory"),
        ("'kernel=\"/root/no.cfg\"'", "/root/no.cfg: not a kernel"),
        ("'vif=[\"bridge=none0\"]'", "bridge none0 does not exist"),
        ("'disk=[\"/none.img,raw,xvda,r\"]'", "/none.img"),
    ] {
        let error = host.refusal(&format!("vxn domain create /root/no.cfg {more}"));
        assert!(error.contains(expected), "{more}: {error}");
    }
    host.wait_gone("no");
    host.leaves_nothing();
}

#[test]
fn only_vxn_is_executed_and_hotplug_is_small() {
    let Some(host) = Host::new() else { return };
    host.ok("truncate -s 1M /root/e.img");
    host.config(
        "traced",
        "pv",
        "wait",
        "disk = [ '/root/e.img,raw,xvda,w' ]\nvif = [ 'bridge=testbr0' ]",
    );
    host.ok(
        "strace -f -qq -e trace=execve -o /root/trace vxn domain create /root/traced.cfg & \
         until vxn domain list traced 2>&- | grep '^traced' | grep -qv -e --p---; do sleep 0.2; done; \
         vxn domain destroy traced; wait",
    );
    host.ok("! grep -q libxenlight /usr/lib/vxn/vxn-hotplug");
    let programs = host.ok("grep -o 'execve(\"[^\"]*\"' /root/trace | cut -d'\"' -f2 | sort -u");
    assert_eq!(programs, "/usr/bin/vxn\n/usr/lib/vxn/vxn-hotplug");
    host.wait_gone("traced");
    host.leaves_nothing();
}
