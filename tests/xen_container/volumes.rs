//! Directories of Dom0, and volumes, in containers.

use crate::{BUSYBOX, Host, PATIENT, host};

impl Host {
    /// What a script says in Dom0.
    #[track_caller]
    pub fn dom0(&self, script: &str) -> String {
        self.dom0.shell(script).unwrap().success().unwrap().text()
    }

    /// What a script says in the container `bind`.
    #[track_caller]
    fn inside(&self, script: &str) -> String {
        self.ok(["exec", "bind", "sh", "-c", script])
    }
}

/// What Dom0 shares.
const SHARED: &str = "rm -rf /srv/bind; mkdir -p /srv/bind/rw /srv/bind/ro; cd /srv/bind; \
    chmod 777 rw; echo secret >secret; echo fixed >ro/file; echo one >one; \
    head -c 3000000 /dev/urandom >rw/big; ln -s /etc/hostname rw/link; ln -s ../secret rw/up";

#[test]
fn a_bind_mount_is_live_both_ways_and_leads_nowhere_else() {
    let Some(host) = host() else { return };
    host.dom0(SHARED);
    let read_only = "type=bind,src=/srv/bind/ro,dst=/data/ro,readonly";
    let own = ["-v", "/srv/bind/rw:/data", "--mount", read_only, "-v", "/srv/bind/one:/etc/one"];
    let flags = [&own[..], &["--hostname", "box"]].concat();
    host.start("bind", <[&str; 8]>::try_from(flags).unwrap(), PATIENT);
    contents_are_the_same(&host);
    owners_are_the_same(&host);
    // Links are the container's own to follow.
    assert_eq!(host.inside("cat /data/link"), "box");
    let out = "cat /data/up 2>/dev/null; ls -d /data/../srv/bind 2>/dev/null; echo no";
    assert_eq!(host.inside(out), "no");
    let device = "mknod /data/mem c 1 1 2>/dev/null || echo refused";
    assert_eq!(host.inside(device), "refused");
    // Read-only, below the other one; a single file.
    let write = "cat /data/ro/file; (echo x >/data/ro/file) 2>/dev/null || echo refused";
    assert_eq!(host.inside(write), "fixed\nrefused");
    assert_eq!(host.inside("cat /etc/one; echo changed >/etc/one"), "one");
    let files = "cd /srv/bind; cat one ro/file secret";
    assert_eq!(host.dom0(files), "changed\nfixed\nsecret");
    let mounts = host.field("bind", "{{json .Mounts}}");
    assert!(mounts.contains("\"Destination\":\"/data/ro\",\"Mode\":\"ro\""), "{mounts}");
    host.dom0("rm -r /srv/bind");
    host.clean(["bind"]);
}

fn contents_are_the_same(host: &Host) {
    assert_eq!(host.inside("md5sum </data/big"), host.dom0("md5sum </srv/bind/rw/big"));
    host.dom0("echo live >/srv/bind/rw/new");
    let script = "cat /data/new; echo back >/data/new; mkdir /data/d";
    assert_eq!(host.inside(script), "live");
    assert_eq!(host.dom0("cd /srv/bind/rw; cat new; ls -d d"), "back\nd");
    // Large, written in the guest, and whole at once.
    let sum = host.inside("head -c 5000000 /dev/urandom >/data/own; md5sum </data/own");
    assert_eq!(host.dom0("md5sum </srv/bind/rw/own"), sum);
}

fn owners_are_the_same(host: &Host) {
    host.ok(["exec", "-u", "user", "bind", "sh", "-c", "umask 027; echo x >/data/users"]);
    assert_eq!(host.dom0("stat -c '%u %g %a' /srv/bind/rw/users"), "1000 1000 640");
    host.dom0("chown 7:8 /srv/bind/rw/users");
    assert_eq!(host.inside("stat -c '%u %g' /data/users; chown 0:0 /data/users"), "7 8");
    assert_eq!(host.dom0("stat -c '%u %g' /srv/bind/rw/users"), "0 0");
}

#[test]
fn volumes_outlive_containers_and_begin_as_the_image_is() {
    let Some(host) = host() else { return };
    let run = |flags: &[&str], script: &str| {
        let run = host.vxn(["run", "--rm", "-m", "160M"]).args(flags.iter().copied());
        run.args([BUSYBOX, "sh", "-c", script]).run().unwrap().success().unwrap().text()
    };
    assert_eq!(host.ok(["volume", "create", "data"]), "data");
    // The second mount is a volume without a name, which goes with its container.
    let script = "ls /data; echo kept >/data/new; mkdir /x/d";
    assert_eq!(run(&["-v", "data:/data", "-v", "/x"], script), "");
    assert_eq!(host.ok(["volume", "ls", "-q"]), "data");
    let script = "cat /x/new; rm /x/new 2>/dev/null || echo refused";
    assert_eq!(run(&["--mount", "src=data,dst=/x,readonly"], script), "kept\nrefused");
    host.ok(["volume", "rm", "data"]);
    // The image's content, with its modes.
    let script = "ls -l /fixtures/script | cut -c1-10";
    host.start("user", ["-v", "new:/fixtures", "-v", "/nameless"], &format!("{script}; {PATIENT}"));
    host.wait_for("user", "-rwxr-xr-x");
    host.fails(1, "in use by user", ["volume", "rm", "new"]);
    // Another one has them where it has them, and may be kept from writing.
    let script = "echo from >/nameless/there; cat /fixtures/script >/dev/null; ls -d /nameless";
    assert_eq!(run(&["--volumes-from", "user"], script), "/nameless");
    assert_eq!(host.ok(["exec", "user", "cat", "/nameless/there"]), "from");
    let script = "rm /nameless/there 2>/dev/null || cat /nameless/there";
    assert_eq!(run(&["--volumes-from", "user:ro"], script), "from");
    let path = host.ok(["volume", "inspect", "-f", "{{.Mountpoint}}", "new"]);
    assert_eq!(
        host.dom0.run(["stat", "-c", "%a", &format!("{path}/script")]).unwrap().text(),
        "755"
    );
    host.ok(["rm", "-f", "-v", "user"]);
    assert_eq!(host.ok(["volume", "ls", "-q"]), "new");
    assert!(host.ok(["volume", "prune", "-a", "-f"]).contains("Deleted Volumes:\nnew"));
    host.clean([]);
}
