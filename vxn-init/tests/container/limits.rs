//! What the processes may take and do.

use std::{
    fs,
    os::unix::fs::{FileTypeExt, MetadataExt},
    path::{Path, PathBuf},
};

use nix::sys::stat::{major, minor};
use vxn_proto::{Container, ExitStatus, Limits, Privileges, ProcessId, StartFailure, Ulimit};

use crate::host::{Host, MAIN, shell, spec};
use crate::text;

fn limited(limits: Limits) -> Host {
    Host::with(&Container { limits, ..Container::default() })
}

fn privileged(privileges: Privileges) -> Host {
    Host::with(&Container { privileges, ..Container::default() })
}

fn names(list: &[&str]) -> Vec<String> {
    list.iter().map(|name| (*name).to_owned()).collect()
}

pub fn limits_are_the_kernels() {
    let ulimit = |name: &str, soft, hard| Ulimit { name: name.into(), soft, hard };
    let mut host = limited(Limits {
        ulimits: vec![ulimit("nofile", 100, 200), ulimit("core", 0, u64::MAX)],
        shm_bytes: Some(1 << 20),
        oom_score_adj: Some(77),
        ..Limits::default()
    });
    let script = "ulimit -Sn; ulimit -Hn; ulimit -Sc; ulimit -Hc; cat /proc/self/oom_score_adj; \
                  grep -o ' /dev/shm .*size=[0-9]*k' /proc/mounts | grep -o 'size.*'";
    host.started(MAIN, spec(&["sleep", "1000"]));
    host.start(ProcessId(1), shell(script));
    let output = host.finish(ProcessId(1));
    assert_eq!(text(&output.stdout), "100\n200\n0\nunlimited\n77\nsize=1024k\n");

    let bad = Limits { ulimits: vec![ulimit("files", 1, 1)], ..Limits::default() };
    let (reason, message) = limited(bad).fail(spec(&["true"]));
    assert_eq!((reason, &*message), (StartFailure::Other, "invalid ulimit type: files"));
}

pub fn groups_and_a_domain_name_are_added() {
    let groups = names(&["video", "777"]);
    let settings = Container { groups, domainname: "example.org".into(), ..Container::default() };
    let mut host = Host::with(&settings);
    host.started(MAIN, spec(&["sleep", "1000"]));
    let mut second = shell("id -G; cat /proc/sys/kernel/domainname");
    second.user = "1000:7".into();
    host.start(ProcessId(1), second);
    assert_eq!(text(&host.finish(ProcessId(1)).stdout), "7 44 777\nexample.org\n");

    let groups = names(&["nobody-has-it"]);
    let (_, message) =
        Host::with(&Container { groups, ..Container::default() }).fail(spec(&["id"]));
    assert!(message.contains("unable to find group nobody-has-it"), "{message}");
}

/// Any block device will do: it is looked at, not opened.
pub fn disks_have_nodes() {
    let entries = fs::read_dir("/dev").unwrap().map(|entry| entry.unwrap());
    let mut disks = entries.filter(|entry| entry.file_type().unwrap().is_block_device());
    let Some(disk) = disks.next() else {
        println!("SKIPPED: no block device here");
        return;
    };
    let disks = vec![disk.file_name().into_string().unwrap()];
    let path = disk.path();
    let stat = ["stat", "-c", "%F %a %u %g %t %T", path.to_str().unwrap()];
    let mut host = Host::with(&Container { disks, ..Container::default() });
    host.started(MAIN, spec(&["sleep", "1000"]));
    host.start(ProcessId(1), spec(&stat));
    let device = disk.metadata().unwrap().rdev();
    let (major, minor) = (major(device), minor(device));
    let expected = format!("block special file 660 0 0 {major:x} {minor:x}\n");
    assert_eq!(text(&host.finish(ProcessId(1)).stdout), expected);

    let disks = names(&["null"]);
    let (_, message) = Host::with(&Container { disks, ..Container::default() }).fail(spec(&["id"]));
    assert_eq!(message, "/dev/null is no block device");
}

/// The machine may have this controller in version 1, where nobody can use it.
pub fn a_group_has_so_many_processes() {
    let host = |pids| limited(Limits { pids: Some(pids), ..Limits::default() });
    if !crate::guest::controllers().contains("pids") {
        println!("SKIPPED: no pids controller in cgroup v2 here; a failure is still told");
        let (_, message) = host(10).fail(spec(&["true"]));
        assert!(message.contains("write 10 to /sys/fs/cgroup/container/pids.max"), "{message}");
        return;
    }
    assert_eq!(host(1).run(spec(&["true"])).status, ExitStatus::Code(0));
    let output = host(3).run(shell("sleep 1 & sleep 1 & sleep 1 & wait"));
    assert!(text(&output.stderr).contains("fork"), "{}", text(&output.stderr));
}

pub fn a_kill_for_want_of_memory_is_told() {
    let mut host = Host::new();
    let mut spec = shell("read go; exec tail /dev/zero");
    spec.stdin = true;
    host.started(MAIN, spec);
    let Some(_group) = Confined::to_32_mib(host.pid(MAIN)) else {
        println!("SKIPPED: no memory controller here");
        return;
    };
    host.type_in("go\n");
    let output = host.finish(MAIN);
    assert_eq!((output.status, output.oom_killed), (ExitStatus::Signal(9), true));
    drop(host);
    assert!(!Host::new().run(shell("kill -9 $$")).oom_killed, "only kills of its own guest count");
}

/// The control group of version 1 that a process was put into, until it is gone.
struct Confined(Option<PathBuf>);

impl Confined {
    /// Gives a process of the container little memory; `None` if nobody can here.
    fn to_32_mib(pid: u32) -> Option<Self> {
        let limit = (32 << 20).to_string();
        let own = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
        let version2 = own.lines().find_map(|line| line.strip_prefix("0::")).unwrap();
        let max = Path::new("/sys/fs/cgroup").join(version2.trim_start_matches('/'));
        if fs::write(max.join("memory.max"), &limit).is_ok() {
            return Some(Self(None));
        }
        let group = PathBuf::from(format!("/sys/fs/cgroup/memory/vxn-init-{pid}"));
        fs::create_dir(&group).ok()?;
        let confined = Self(Some(group.clone()));
        fs::write(group.join("memory.limit_in_bytes"), limit).ok()?;
        fs::write(group.join("cgroup.procs"), pid.to_string()).ok()?;
        Some(confined)
    }
}

impl Drop for Confined {
    fn drop(&mut self) {
        self.0.take().map(fs::remove_dir);
    }
}

pub fn kernel_parameters_are_set() {
    let sysctls = |list: &[(&str, &str)]| Limits {
        sysctls: list.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect(),
        ..Limits::default()
    };
    let wanted = sysctls(&[("kernel.msgmax", "4321"), ("net.ipv4.ip_default_ttl", "77")]);
    let script = "cat /proc/sys/kernel/msgmax /proc/sys/net/ipv4/ip_default_ttl; \
                  echo 1 >/proc/sys/net/ipv4/ip_default_ttl";
    let output = limited(wanted).run(shell(script));
    assert_eq!(text(&output.stdout), "4321\n77\n");
    assert!(text(&output.stderr).contains("Read-only"), "{}", text(&output.stderr));
    for (key, value) in [("net.ipv4.nonsense", "1"), ("kernel.msgmax", "lots")] {
        let (reason, message) = limited(sysctls(&[(key, value)])).fail(spec(&["true"]));
        assert_eq!(reason, StartFailure::Other);
        assert!(message.contains("sysctl") || message.contains(key), "{message}");
    }
}

/// A set of capabilities in `/proc/self/status`.
fn set(status: &str, name: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    u64::from_str_radix(line.trim_start_matches([':', '\t']), 16).unwrap()
}

pub fn capabilities_are_those_asked_for() {
    let bounding = |add: &[&str], drop: &[&str]| {
        let (cap_add, cap_drop) = (names(add), names(drop));
        let mut host = privileged(Privileges { cap_add, cap_drop, ..Privileges::default() });
        let status = text(&host.run(spec(&["cat", "/proc/self/status"])).stdout);
        assert_eq!(set(&status, "CapEff"), set(&status, "CapBnd"));
        set(&status, "CapBnd")
    };
    let default = 0xa804_25fb;
    assert_eq!(bounding(&["CAP_NET_ADMIN"], &["CAP_CHOWN"]), (default | 1 << 12) & !1);
    assert_eq!(bounding(&["CAP_KILL"], &["ALL"]), 1 << 5);
    let own = fs::read_to_string("/proc/self/status").unwrap();
    assert_eq!(bounding(&["ALL"], &[]), set(&own, "CapPrm"));
    let cap_add = names(&["CAP_FLY"]);
    let (_, message) =
        privileged(Privileges { cap_add, ..Privileges::default() }).fail(spec(&["true"]));
    assert_eq!(message, "unknown capability: \"CAP_FLY\"");
}

pub fn no_new_privileges_are_given() {
    let seen = |no_new_privileges| {
        let mut host = privileged(Privileges { no_new_privileges, ..Privileges::default() });
        host.started(MAIN, spec(&["sleep", "1000"]));
        let mut spec = shell("grep NoNewPrivs /proc/self/status");
        spec.user = "app".into();
        host.start(ProcessId(1), spec);
        text(&host.finish(ProcessId(1)).stdout)
    };
    assert_eq!(seen(true), "NoNewPrivs:\t1\n", "of a second process too");
    assert_eq!(seen(false), "NoNewPrivs:\t0\n");
}

pub fn privileged_has_and_sees_everything() {
    let script = "for file in /proc/sys /sys /sys/fs/cgroup /proc/keys; do \
                  grep -E \"^[^ ]+ $file [^ ]+ \" /proc/mounts | cut -d' ' -f2,4 | cut -d, -f1; \
                  done";
    let output = Host::new().run(shell(script));
    let masked = text(&output.stdout);
    assert!(masked.contains("/proc/sys ro\n/sys ro\n/sys/fs/cgroup ro\n"), "{masked}");
    let all = Privileges { privileged: true, ..Privileges::default() };
    let output = privileged(all).run(shell(script));
    assert_eq!(text(&output.stdout), "/sys rw\n/sys/fs/cgroup rw\n");
    let unmasked = Privileges { unmasked: true, ..Privileges::default() };
    let output = privileged(unmasked).run(shell(script));
    assert_eq!(text(&output.stdout), "/sys ro\n/sys/fs/cgroup ro\n");
}
