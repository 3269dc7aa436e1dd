//! Real loop devices and network devices, a xenstore in memory. Both need root;
//! where this machine does not have them, a test says SKIPPED.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::sync::{Mutex, MutexGuard};

use nix::sched::{CloneFlags, unshare};
use vxn_link::{LinkFlags, Links};

use super::*;

/// xenstore as far as a hotplug program sees it.
#[derive(Default)]
struct Memory(Mutex<BTreeMap<String, Vec<u8>>>);

impl Memory {
    fn set(&self, path: &str, value: &str) {
        self.0.lock().unwrap().insert(path.to_owned(), value.into());
    }

    fn get(&self, path: &str) -> Option<String> {
        self.0.lock().unwrap().get(path).map(|v| String::from_utf8(v.clone()).unwrap())
    }

    fn forget(&self, prefix: &str) {
        self.0.lock().unwrap().retain(|path, _| !path.starts_with(prefix));
    }

    /// A disk backend as libxl leaves it for the hotplug program.
    fn disk(&self, domid: u32, devid: u32, path: &Path, mode: &str) -> Backend {
        let backend = Backend { path: format!("backend/vbd/{domid}/{devid}"), domid, devid };
        self.set(&format!("/local/domain/{domid}/name"), &format!("guest{domid}"));
        self.set(&backend.node("params"), path.to_str().unwrap());
        self.set(&backend.node("mode"), mode);
        self.set(&backend.node("state"), "2");
        backend
    }
}

impl Store for Memory {
    fn read(&self, path: &str) -> Result<Option<Vec<u8>>> {
        Ok(self.0.lock().unwrap().get(path).cloned())
    }

    fn list(&self, path: &str) -> Result<Vec<String>> {
        let nodes = self.0.lock().unwrap();
        let below = nodes.keys().filter_map(|node| node.strip_prefix(path)?.strip_prefix('/'));
        let mut names: Vec<_> =
            below.filter_map(|rest| rest.split('/').next()).map(str::to_owned).collect();
        names.dedup();
        Ok(names)
    }

    fn publish(&self, guard: &str, nodes: &[(String, Vec<u8>)]) -> Result<bool> {
        let mut all = self.0.lock().unwrap();
        let exists = all.contains_key(guard);
        if exists {
            all.extend(nodes.iter().cloned());
        }
        Ok(exists)
    }
}

/// A directory for disks and the lock; the tests with loop devices run one by one,
/// because the scan sees the devices of all of them.
struct Host {
    dir: tempfile::TempDir,
    store: Memory,
    _alone: MutexGuard<'static, ()>,
}

impl Host {
    fn new(test: &str) -> Option<Host> {
        static ALONE: Mutex<()> = Mutex::new(());
        let alone = ALONE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Err(e) = File::options().read(true).write(true).open("/dev/loop-control") {
            eprintln!("SKIPPED: {test}: /dev/loop-control: {e}");
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        Some(Host { dir, store: Memory::default(), _alone: alone })
    }

    fn file(&self, name: &str) -> PathBuf {
        let path = self.dir.path().join(name);
        let file = File::create(&path).unwrap();
        file.set_len(1 << 20).unwrap();
        file.write_all_at(name.as_bytes(), 4096).unwrap();
        path
    }

    fn lock(&self) -> PathBuf {
        self.dir.path().join("run/hotplug.lock")
    }

    fn add(&self, backend: &Backend) -> Result<()> {
        run(&Request::AddDisk(backend.clone()), &self.store, &self.lock())
    }

    fn remove(&self, backend: &Backend) {
        run(&Request::RemoveDisk(backend.clone()), &self.store, &self.lock()).unwrap();
    }

    /// The loop device that was published for `backend`.
    fn device(&self, backend: &Backend) -> PathBuf {
        self.store.get(&backend.node("node")).expect("a published device").into()
    }

    fn leaves_nothing(&self) {
        let dir = self.dir.path().metadata().unwrap();
        use std::os::unix::fs::MetadataExt;
        let left: Vec<_> = loopdev::all().unwrap().into_iter().collect();
        assert!(left.iter().all(|l| l.marker.is_none() || l.file.0 != dir.dev()), "{left:?}");
    }
}

#[test]
fn a_file_becomes_a_disk_and_goes_away_without_it() {
    let Some(host) = Host::new("a_file_becomes_a_disk_and_goes_away_without_it") else { return };
    let path = host.file("disk");
    let backend = host.store.disk(901, 51712, &path, "w");
    host.add(&backend).unwrap();
    host.add(&backend).unwrap();

    let device = host.device(&backend);
    assert_eq!(host.store.get(&backend.node("hotplug-status")).unwrap(), "connected");
    let number = host.store.get(&backend.node("physical-device")).unwrap();
    let bound = loopdev::all().unwrap().into_iter().find(|b| b.path == device).unwrap();
    assert_eq!(claims::parse_device(number.as_bytes()), Some(bound.rdev));
    assert_eq!(bound.marker, Some(Marker { domid: 901, devid: 51712 }));
    assert!(bound.writable);

    let disk = File::options().read(true).write(true).open(&device).unwrap();
    let mut read = [0; 4];
    disk.read_exact_at(&mut read, 4096).unwrap();
    assert_eq!(&read, b"disk");
    drop(disk);

    fs::remove_file(&path).unwrap();
    host.remove(&backend);
    host.remove(&backend);
    host.leaves_nothing();
}

#[test]
fn a_read_only_disk_cannot_be_written() {
    let Some(host) = Host::new("a_read_only_disk_cannot_be_written") else { return };
    let backend = host.store.disk(902, 51712, &host.file("disk"), "r");
    host.add(&backend).unwrap();
    let device = host.device(&backend);
    let disk = File::options().read(true).write(true).open(device);
    assert!(disk.and_then(|d| d.write_all_at(&[0; 512], 0)).is_err());
    host.remove(&backend);
    host.leaves_nothing();
}

#[test]
fn readers_share_and_writers_do_not() {
    let Some(host) = Host::new("readers_share_and_writers_do_not") else { return };
    let path = host.file("disk");
    let link = host.dir.path().join("link");
    fs::hard_link(&path, &link).unwrap();
    let first = host.store.disk(903, 51712, &path, "r");
    let second = host.store.disk(904, 51712, &link, "r");
    let writer = host.store.disk(905, 51728, &link, "w");
    host.add(&first).unwrap();
    host.add(&second).unwrap();
    let error = host.add(&writer).unwrap_err().to_string();
    let (link, path) = (link.display(), path.display());
    let by = |domid, path| format!("domain \"guest{domid}\" ({domid}), which has {path}");
    let ways = [by(903, path.to_string()), by(904, link.to_string())];
    let expected = ways.map(|by| {
        format!("{link}: cannot be attached for writing, it is in use read-only by {by}")
    });
    assert!(expected.contains(&error), "{error}");
    assert_eq!(host.store.get(&writer.node("hotplug-error")).unwrap(), error);
    assert_eq!(host.store.get(&writer.node("hotplug-status")).unwrap(), "error");

    host.remove(&first);
    host.remove(&second);
    host.add(&writer).unwrap();
    host.store.forget(&first.path);
    let first = host.store.disk(903, 51712, Path::new(&path.to_string()), "r");
    let error = host.add(&first).unwrap_err().to_string();
    assert!(error.contains("it is in use for writing by domain \"guest905\" (905)"), "{error}");
    host.remove(&writer);
    host.leaves_nothing();
}

#[test]
fn a_block_device_is_used_as_it_is_and_guarded() {
    let Some(host) = Host::new("a_block_device_is_used_as_it_is_and_guarded") else { return };
    let path = host.file("disk");
    let file = File::options().read(true).write(true).open(&path).unwrap();
    let foreign = Marker { domid: 999_999, devid: 1 };
    let bound = loopdev::attach(&file, true, foreign).unwrap();
    // A backend for it, so that nobody takes it for a leftover.
    host.store.set("backend/vbd/999999/1/state", "4");

    let whole = host.store.disk(906, 51712, &bound.path, "w");
    host.add(&whole).unwrap();
    assert_eq!(host.device(&whole), bound.path);
    let again = host.store.disk(907, 51712, &bound.path, "r");
    let error = host.add(&again).unwrap_err().to_string();
    assert!(error.contains("for writing by domain \"guest906\" (906)"), "{error}");
    let behind = host.store.disk(908, 51712, &path, "r");
    let error = host.add(&behind).unwrap_err().to_string();
    assert!(error.contains("by domain \"guest906\" (906)"), "{error}");

    host.store.forget("backend/vbd/906");
    let claimed = File::options().read(true).custom_flags(libc::O_EXCL).open(&bound.path).unwrap();
    let whole = host.store.disk(906, 51712, &bound.path, "w");
    let error = host.add(&whole).unwrap_err().to_string();
    assert!(error.ends_with("it is in use exclusively by this host"), "{error}");
    drop(claimed);
    host.remove(&whole);
    loopdev::detach(&bound.path, foreign).unwrap();
    host.leaves_nothing();
}

#[test]
fn a_backend_that_is_gone_keeps_no_device() {
    let Some(host) = Host::new("a_backend_that_is_gone_keeps_no_device") else { return };
    let backend = host.store.disk(909, 51712, &host.file("disk"), "w");
    host.store.forget(&backend.node("state"));
    let error = host.add(&backend).unwrap_err();
    assert!(matches!(error, Error::Gone(_)), "{error}");
    assert_eq!(host.store.get(&backend.node("hotplug-error")), None, "nodes of the dead");
    host.leaves_nothing();
}

#[test]
fn leftovers_are_reaped_and_the_living_are_not() {
    let Some(host) = Host::new("leftovers_are_reaped_and_the_living_are_not") else { return };
    let living = host.store.disk(910, 51712, &host.file("living"), "w");
    let dead = host.store.disk(911, 51712, &host.file("dead"), "w");
    host.add(&living).unwrap();
    host.add(&dead).unwrap();
    let device = host.device(&dead);
    host.store.forget("backend/vbd/911");
    let reaped = reap_loops(&host.store, &host.lock()).unwrap();
    assert_eq!(reaped, [Reaped { device, marker: Marker { domid: 911, devid: 51712 } }]);

    // One that blocks a new user goes without the reaper.
    let dead = host.store.disk(912, 51712, &host.file("again"), "w");
    host.add(&dead).unwrap();
    host.store.forget("backend/vbd/912");
    let next = host.store.disk(913, 51712, &host.dir.path().join("again"), "w");
    host.add(&next).unwrap();
    host.remove(&next);
    host.remove(&living);
    host.leaves_nothing();
}

#[test]
fn what_is_no_disk_is_refused_by_name() {
    let Some(host) = Host::new("what_is_no_disk_is_refused_by_name") else { return };
    let missing = host.store.disk(914, 51712, Path::new("/no/such/disk"), "r");
    assert_eq!(
        host.add(&missing).unwrap_err().to_string(),
        "cannot open /no/such/disk: No such file or directory (os error 2)"
    );
    let character = host.store.disk(914, 51728, Path::new("/dev/null"), "r");
    assert_eq!(
        host.add(&character).unwrap_err().to_string(),
        "/dev/null: neither a file nor a block device"
    );
    let empty = host.store.disk(914, 51744, Path::new(""), "r");
    assert_eq!(
        host.add(&empty).unwrap_err().to_string(),
        "backend/vbd/914/51744/params is missing in xenstore"
    );
}

/// A network namespace of this thread's own, with the bridge `br0` and the network
/// device `vif7.0`.
fn namespace(test: &str) -> Option<Links> {
    if let Err(e) = unshare(CloneFlags::CLONE_NEWNET) {
        eprintln!("SKIPPED: {test}: no network namespace: {e}");
        return None;
    }
    let links = Links::open().unwrap();
    for (name, kind) in [("br0", "bridge"), ("vif7.0", "veth")] {
        if let Err(e) = links.add(name, kind) {
            eprintln!("SKIPPED: {test}: no {kind}: {e}");
            return None;
        }
    }
    Some(links)
}

fn nic(store: &Memory, nodes: &[(&str, &str)]) -> Request {
    let backend = Backend { path: "backend/vif/7/0".into(), domid: 7, devid: 0 };
    store.set(&backend.node("state"), "2");
    store.set(&backend.node("hotplug-status"), "");
    for (name, value) in nodes {
        store.set(&backend.node(name), value);
    }
    Request::NicOnline(backend, "vif7.0".into())
}

const STATUS: &str = "backend/vif/7/0/hotplug-status";

#[test]
fn a_nic_becomes_a_port_of_its_bridge() {
    let Some(links) = namespace("a_nic_becomes_a_port_of_its_bridge") else { return };
    let bridge = links.find("br0").unwrap().unwrap();
    links.change(bridge.index).mtu(1400).apply().unwrap();
    let store = Memory::default();
    let request = nic(&store, &[("bridge", "br0"), ("vifname", "web0")]);
    let lock = Path::new("/no/lock/for/nics");
    run(&request, &store, lock).unwrap();
    run(&request, &store, lock).unwrap();

    assert_eq!(links.find("vif7.0").unwrap(), None);
    let port = links.find("web0").unwrap().unwrap();
    assert_eq!((port.master, port.mtu), (bridge.index, 1400));
    assert_eq!(port.address, [0xfe, 0xff, 0xff, 0xff, 0xff, 0xff]);
    assert!(port.flags.contains(LinkFlags::Up));
    assert_eq!(store.get(STATUS).unwrap(), "connected");
    assert_eq!(store.get("/local/domain/7/device/vif/0/mtu").unwrap(), "1400");

    let Request::NicOnline(backend, _) = request else { unreachable!() };
    let offline = Request::NicOffline(backend, "web0".into());
    run(&offline, &store, lock).unwrap();
    assert_eq!(links.find("web0").unwrap().unwrap().master, 0);
}

#[test]
fn a_nic_of_no_bridge_is_only_taken_up() {
    let Some(links) = namespace("a_nic_of_no_bridge_is_only_taken_up") else { return };
    let store = Memory::default();
    run(&nic(&store, &[("bridge", ""), ("mtu", "1280")]), &store, Path::new("/")).unwrap();
    let link = links.find("vif7.0").unwrap().unwrap();
    assert_eq!((link.master, link.mtu), (0, 1280));
    assert_eq!(store.get(STATUS).unwrap(), "connected");
}

#[test]
fn a_bridge_that_is_none_is_named() {
    let Some(_links) = namespace("a_bridge_that_is_none_is_named") else { return };
    for (bridge, said) in [("xenbr0", "bridge xenbr0 does not exist"), ("lo", "lo is not a bridge")]
    {
        let store = Memory::default();
        let error = run(&nic(&store, &[("bridge", bridge)]), &store, Path::new("/")).unwrap_err();
        assert_eq!(error.to_string(), said);
        assert_eq!(store.get("backend/vif/7/0/hotplug-error").unwrap(), said);
        assert_eq!(store.get(STATUS).unwrap(), "error");
    }
}

#[test]
fn a_nic_that_is_gone_is_offline() {
    let Some(_links) = namespace("a_nic_that_is_gone_is_offline") else { return };
    nic::offline("vif8.0").unwrap();
}
