//! A share mounted by this machine's own kernel, where it has 9P and we are root:
//! the server against the client that guests have.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{Read, Seek, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, lchown, symlink};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::thread;

use nix::fcntl::{Flock, FlockArg};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::stat::Mode;
use nix::unistd::{Gid, Uid, mkfifo, setfsgid, setfsuid};
use vxn::share::{Connection, Export, MSIZE};

/// A mounted share of the directory or file `host`.
struct Mounted {
    dir: tempfile::TempDir,
    at: PathBuf,
}

impl Mounted {
    /// Mounts `name` of a fresh directory that holds `share`; `None` where that
    /// cannot be.
    fn new(name: &str, read_only: bool) -> Option<Mounted> {
        let known = fs::read_to_string("/proc/filesystems").unwrap();
        if !nix::unistd::geteuid().is_root() || !known.contains("\t9p\n") {
            eprintln!("SKIPPED: not root, or a kernel without 9P");
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        for name in ["share", "mnt"] {
            fs::create_dir(dir.path().join(name)).unwrap();
        }
        fs::write(dir.path().join("one"), "one file").unwrap();
        let export = Export::open(&dir.path().join(name), read_only).unwrap();
        let (kernel, ours) = UnixStream::pair().unwrap();
        thread::spawn(move || serve(ours, Connection::new(export, 1000)));
        let fd = kernel.as_raw_fd();
        let options = format!(
            "trans=fd,rfdno={fd},wfdno={fd},version=9p2000.L,msize={MSIZE},access=client,cache=mmap"
        );
        let at = dir.path().join("mnt");
        mount(Some("vxn"), &at, Some("9p"), MsFlags::MS_NODEV, Some(options.as_str())).unwrap();
        Some(Mounted { dir, at })
    }

    /// A path as the guest has it, and as the host has it.
    fn both(&self, path: &str) -> [PathBuf; 2] {
        [self.at.join(path), self.dir.path().join("share").join(path)]
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        umount2(&self.at, MntFlags::MNT_DETACH).unwrap();
    }
}

fn serve(mut socket: UnixStream, mut connection: Connection) {
    let (mut buffer, mut answer) = (vec![0; 65536], Vec::new());
    while let Ok(count @ 1..) = socket.read(&mut buffer) {
        connection.feed(&buffer[..count]);
        while connection.answer(&mut answer).expect("9P") {
            socket.write_all(&answer).unwrap();
            answer.clear();
        }
    }
}

fn names(dir: &Path) -> Vec<String> {
    let name = |entry: std::io::Result<fs::DirEntry>| entry.unwrap().file_name();
    let mut names: Vec<_> = fs::read_dir(dir).unwrap().map(name).collect();
    names.sort();
    names.into_iter().map(|name| name.into_string().unwrap()).collect()
}

#[test]
fn files_and_directories_are_the_same_on_both_sides() {
    let Some(mounted) = Mounted::new("share", false) else { return };
    let [guest, host] = mounted.both("file");
    let bytes: Vec<u8> = (0..1_000_000_u32).map(|n| (n ^ (n >> 8)) as u8).collect();
    fs::write(&guest, &bytes).unwrap();
    assert!(fs::read(&host).unwrap() == bytes && fs::read(&guest).unwrap() == bytes);
    OpenOptions::new().append(true).open(&guest).unwrap().write_all(b"end").unwrap();
    assert!(fs::read(&host).unwrap().ends_with(b"end"));
    File::options().write(true).open(&guest).unwrap().set_len(4).unwrap();
    assert_eq!(fs::metadata(&host).unwrap().len(), 4);
    // Live, the other way.
    let mut open = File::open(&guest).unwrap();
    fs::write(&host, "changed").unwrap();
    let mut text = String::new();
    open.read_to_string(&mut text).unwrap();
    assert_eq!((text.as_str(), fs::metadata(&guest).unwrap().len()), ("changed", 7));
    fs::write(&host, "again").unwrap();
    open.rewind().unwrap();
    text.clear();
    open.read_to_string(&mut text).unwrap();
    assert_eq!(text, "again");

    let [guest, host] = mounted.both("");
    fs::hard_link(guest.join("file"), guest.join("hard")).unwrap();
    fs::create_dir_all(guest.join("d/e")).unwrap();
    fs::rename(guest.join("file"), guest.join("d/e/moved")).unwrap();
    assert_eq!(fs::metadata(guest.join("hard")).unwrap().nlink(), 2);
    (0..300).for_each(|n| fs::write(guest.join(format!("d/{n}")), "").unwrap());
    assert_eq!(names(&guest.join("d")).len(), 301);
    assert_eq!(names(&guest.join("d")), names(&host.join("d")));
    // What is removed is there for who has it open.
    let mut open = File::open(guest.join("hard")).unwrap();
    fs::remove_file(guest.join("hard")).unwrap();
    fs::remove_dir_all(guest.join("d")).unwrap();
    text.clear();
    open.read_to_string(&mut text).unwrap();
    assert_eq!((text.as_str(), names(&host).len()), ("again", 0));
}

#[test]
fn special_files_links_and_owners() {
    let Some(mounted) = Mounted::new("share", false) else { return };
    let [guest, host] = mounted.both("");
    symlink("/etc/hostname", guest.join("link")).unwrap();
    assert_eq!(fs::read_link(host.join("link")).unwrap(), Path::new("/etc/hostname"));
    mkfifo(&guest.join("fifo"), Mode::from_bits_truncate(0o600)).unwrap();
    assert!(fs::symlink_metadata(host.join("fifo")).unwrap().file_type().is_fifo());
    let listener = UnixListener::bind(guest.join("socket")).unwrap();
    UnixStream::connect(guest.join("socket")).unwrap();
    drop(listener);
    fs::write(guest.join("own"), "").unwrap();
    fs::set_permissions(guest.join("own"), Permissions::from_mode(0o4751)).unwrap();
    assert_eq!(fs::metadata(host.join("own")).unwrap().mode(), 0o104_751);
    lchown(guest.join("link"), Some(7), Some(8)).unwrap();
    let meta = fs::symlink_metadata(host.join("link")).unwrap();
    assert_eq!((meta.uid(), meta.gid()), (7, 8));
    let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000);
    File::options().write(true).open(guest.join("own")).unwrap().set_modified(time).unwrap();
    assert_eq!(fs::metadata(host.join("own")).unwrap().modified().unwrap(), time);
    assert!(nix::sys::statfs::statfs(&guest).unwrap().blocks() > 0);
}

#[test]
fn locks_hold_in_the_guest() {
    let Some(mounted) = Mounted::new("share", false) else { return };
    let [guest, _] = mounted.both("locked");
    fs::write(&guest, "text").unwrap();
    let file = File::options().read(true).write(true).open(&guest).unwrap();
    file.sync_all().unwrap();
    let _held = Flock::lock(file, FlockArg::LockExclusiveNonblock).unwrap();
    let other = File::open(&guest).unwrap();
    assert!(Flock::lock(other, FlockArg::LockSharedNonblock).is_err());
}

#[test]
fn nothing_is_written_to_a_read_only_share() {
    let Some(mounted) = Mounted::new("share", true) else { return };
    let [guest, host] = mounted.both("file");
    fs::write(&host, "text").unwrap();
    assert_eq!(fs::read(&guest).unwrap(), b"text");
    let refused = fs::write(&guest, "x").unwrap_err();
    assert_eq!(refused.raw_os_error(), Some(nix::libc::EROFS));
    assert!(fs::remove_file(&guest).is_err());
    assert!(fs::create_dir(mounted.at.join("d")).is_err());
    assert_eq!(fs::read(&host).unwrap(), b"text");
}

#[test]
fn one_file_is_shared_alone() {
    let Some(mounted) = Mounted::new("one", false) else { return };
    assert_eq!(names(&mounted.at), ["file"]);
    let guest = mounted.at.join("file");
    assert_eq!(fs::read(&guest).unwrap(), b"one file");
    fs::write(&guest, "other").unwrap();
    assert_eq!(fs::read(mounted.dir.path().join("one")).unwrap(), b"other");
    assert!(fs::write(mounted.at.join("new"), "").is_err());
    assert!(mounted.at.join("file/..").metadata().is_err());
}

#[test]
fn files_belong_to_who_makes_them() {
    let Some(mounted) = Mounted::new("share", false) else { return };
    let [guest, host] = mounted.both("");
    fs::set_permissions(&guest, Permissions::from_mode(0o777)).unwrap();
    fs::write(guest.join("secret"), "").unwrap();
    fs::set_permissions(guest.join("secret"), Permissions::from_mode(0o600)).unwrap();
    thread::scope(|scope| {
        scope.spawn(|| {
            // These are the thread's own.
            setfsgid(Gid::from_raw(1001));
            setfsuid(Uid::from_raw(1000));
            fs::write(guest.join("mine"), "").unwrap();
            fs::create_dir(guest.join("dir")).unwrap();
            assert!(fs::read(guest.join("secret")).is_err(), "the guest's kernel sees to that");
        });
    });
    for name in ["mine", "dir"] {
        let meta = fs::metadata(host.join(name)).unwrap();
        assert_eq!((meta.uid(), meta.gid()), (1000, 1001), "{name}");
    }
}
