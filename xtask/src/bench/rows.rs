//! What is measured.

/// How `vxn` has to do in a row.
#[derive(Debug, Default, Clone, Copy)]
pub struct Bound {
    /// At most this share of xl's time …
    pub of_xl: f64,
    /// … or, where libxl itself takes longer, this multiple of the floor.
    pub of_floor: f64,
}

/// Who does it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// Xen's own toolstack.
    Xl,
    /// This tree.
    Vxn,
    /// The least that libxl takes: `testbed/bench/floor.c`.
    Floor,
}

/// One way of doing what a row is about.
#[derive(Debug, Clone)]
pub struct Side {
    /// Who does it.
    pub who: Who,
    /// Shell commands before each measurement of it.
    pub before: String,
    /// The measured command, for a shell.
    pub command: String,
}

/// A line of the table.
#[derive(Debug, Default, Clone)]
pub struct Row {
    /// What is measured.
    pub name: String,
    /// What vxn has to reach.
    pub bound: Bound,
    /// Shell commands before the first measurement.
    pub first: String,
    /// Shell commands before each measurement.
    pub before: String,
    /// Those that take turns.
    pub sides: Vec<Side>,
    /// Shell commands after each measurement.
    pub after: String,
    /// Shell commands after the last measurement.
    pub last: String,
}

/// The same by vxn under two conditions, which may not matter.
#[derive(Debug, Clone)]
pub struct Pair {
    /// The conditions.
    pub conditions: [&'static str; 2],
    /// What the second may take of the first's time.
    pub at_most: f64,
    /// How each is measured, in the order of the conditions.
    pub row: Row,
}

/// Once, before the first row: a bridge, a disk, the caches of vxn, and the
/// unpacked kernel out of them.
pub const SETUP: &str = r#"
set -e
ip link add benchbr type bridge
ip link set benchbr up
mkdir /srv/bench
truncate -s 64M /srv/bench/disk.img /srv/bench/disk2.img
vxn run --rm oci:/srv/images/busybox true
cp "$(find /var/lib/vxn/kernels -type f -size +1M)" /srv/bench/vmlinux
for type in pv pvh; do
    for kernel in /boot/vmlinuz /srv/bench/vmlinux; do
        cat >"/srv/bench/$type-${kernel##*/}.cfg" <<END
name = "bench"
type = "$type"
memory = 128
vcpus = 1
kernel = "$kernel"
ramdisk = "/usr/lib/vxn/initramfs.cpio"
extra = "console=hvc0"
disk = ["/srv/bench/disk.img,raw,xvda,w"]
vif = ["bridge=benchbr"]
END
    done
done
"#;

/// All rows, in the order of the table.
pub fn all() -> Vec<Row> {
    let mut rows = Vec::new();
    for kind in ["pv", "pvh"] {
        rows.push(create(kind, "vmlinuz", 1.0 / 6.0));
        rows.push(create(kind, "vmlinux", 1.0 / 3.0));
    }
    rows.push(attach());
    rows.extend(["pv", "pvh"].map(run));
    rows.push(daemon_run());
    rows.push(exec());
    rows.push(ps());
    rows
}

/// All pairs, in their order.
pub fn pairs() -> Vec<Pair> {
    vec![cached(), crowd()]
}

/// The same command in an image of 1 MB and in one of 100 MB.
fn cached() -> Pair {
    let run = |image| format!("vxn run --rm --type pv -m 128M oci:/srv/images/{image} true");
    Pair {
        conditions: ["1 MB", "100 MB"],
        at_most: 1.1,
        row: Row {
            name: "run of a cached image".to_owned(),
            sides: ["busybox", "debian"].map(|image| side(Who::Vxn, run(image))).into(),
            ..Row::default()
        },
    }
}

/// A container's start beside one that runs and beside fifteen.
fn crowd() -> Pair {
    let start = "vxn run -d --name late --type pv -m 128M --network none \
                 oci:/srv/images/busybox sleep 100000";
    let fewer = "vxn rm -f $(seq -f bench-%g 2 15)".to_owned();
    let more = containers(2, 15);
    Pair {
        conditions: ["beside 1", "beside 15"],
        at_most: 1.2,
        row: Row {
            name: "start of a container".to_owned(),
            first: containers(1, 1),
            sides: [fewer, more].map(|before| Side { before, ..side(Who::Vxn, start) }).into(),
            after: "vxn rm -f late".to_owned(),
            last: "vxn rm -f $(vxn ps -aq)".to_owned(),
            ..Row::default()
        },
    }
}

/// Where libxl itself is the limit, vxn may take so much longer than it.
const OF_FLOOR: f64 = 1.3;
const DESTROY: &str = "xl destroy bench";

fn side(who: Who, command: impl Into<String>) -> Side {
    Side { who, before: String::new(), command: command.into() }
}

/// A domain with a disk and a network interface. The floor has no kernel to
/// unpack in either row: that it is not unpacked each time is the point.
fn create(kind: &str, kernel: &str, of_xl: f64) -> Row {
    let config = format!("/srv/bench/{kind}-{kernel}.cfg");
    let floor = format!(
        "/usr/lib/bench/floor create {kind} bench /srv/bench/vmlinux /usr/lib/vxn/initramfs.cpio \
         console=hvc0 /srv/bench/disk.img benchbr /usr/lib/bench/hotplug"
    );
    let kernel = if kernel == "vmlinuz" { "Debian's kernel" } else { "unpacked kernel" };
    Row {
        name: format!("domain create, {kind}, {kernel}"),
        bound: Bound { of_xl, of_floor: OF_FLOOR },
        sides: vec![
            side(Who::Xl, format!("xl create {config}")),
            side(Who::Vxn, format!("vxn domain create {config}")),
            side(Who::Floor, floor),
        ],
        after: DESTROY.to_owned(),
        ..Row::default()
    }
}

/// A second disk for a domain that is there, and paused.
fn attach() -> Row {
    let floor =
        "/usr/lib/bench/floor attach bench /srv/bench/disk2.img xvdb /usr/lib/bench/hotplug";
    Row {
        name: "domain block-attach".to_owned(),
        bound: Bound { of_xl: 1.0 / 5.0, of_floor: OF_FLOOR },
        before: "vxn domain create --paused /srv/bench/pv-vmlinux.cfg".to_owned(),
        sides: vec![
            side(Who::Xl, "xl block-attach bench /srv/bench/disk2.img,raw,xvdb,w"),
            side(Who::Vxn, "vxn domain block-attach bench /srv/bench/disk2.img,raw,xvdb,w"),
            side(Who::Floor, floor),
        ],
        after: DESTROY.to_owned(),
        ..Row::default()
    }
}

/// A container from start to end, against xl that only starts a domain.
fn run(kind: &str) -> Row {
    let vxn = format!("vxn run --rm --type {kind} -m 128M oci:/srv/images/busybox true");
    Row {
        name: format!("run --rm busybox true, {kind} (xl: create alone)"),
        bound: Bound { of_xl: 1.0, of_floor: OF_FLOOR },
        sides: vec![
            side(Who::Xl, format!("xl create /srv/bench/{kind}-vmlinuz.cfg")),
            side(Who::Vxn, vxn),
        ],
        // There is none after a run.
        after: format!("{DESTROY} || true"),
        ..Row::default()
    }
}

/// Another process in a container, against the least that xl does.
fn exec() -> Row {
    Row {
        name: "exec c true (xl: list)".to_owned(),
        bound: Bound { of_xl: 4.0, of_floor: OF_FLOOR },
        first: containers(1, 1),
        sides: vec![side(Who::Xl, "xl list"), side(Who::Vxn, "vxn exec bench-1 true")],
        last: "vxn rm -f bench-1".to_owned(),
        ..Row::default()
    }
}

/// A list of ten containers that run.
fn ps() -> Row {
    Row {
        name: "ps with ten containers (xl: list)".to_owned(),
        bound: Bound { of_xl: 2.0, of_floor: OF_FLOOR },
        first: containers(1, 10),
        sides: vec![side(Who::Xl, "xl list"), side(Who::Vxn, "vxn ps")],
        last: "vxn rm -f $(vxn ps -aq)".to_owned(),
        ..Row::default()
    }
}

/// Starts the containers `bench-FROM` to `bench-TO`.
fn containers(from: usize, to: usize) -> String {
    format!(
        "for n in $(seq {from} {to}); do vxn run -d --name bench-$n --type pv -m 128M \
         --network none oci:/srv/images/busybox sleep 100000 || exit; done"
    )
}

/// A container in a DomU that waits for it, on a disk that is attached meanwhile.
fn daemon_run() -> Row {
    let disk = r#""$(ls /var/lib/vxn/disks/*.squashfs | head -n 1)""#;
    Row {
        name: "daemon run: attach, echo, detach".to_owned(),
        bound: Bound { of_xl: 1.0 / 3.0, of_floor: OF_FLOOR },
        first: "/usr/lib/bench/daemons".to_owned(),
        sides: vec![
            side(Who::Xl, format!("/usr/lib/bench/daemon-run bench-xl {disk} 'echo hello'")),
            side(Who::Vxn, format!("vxn backend run --disk {disk} bench-vxn -- 'echo hello'")),
        ],
        last: "vxn backend destroy bench-vxn; xl destroy bench-xl".to_owned(),
        ..Row::default()
    }
}
