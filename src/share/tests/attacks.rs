//! What a hostile guest does.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use proptest::prelude::*;

use super::*;

#[test]
fn a_name_is_one_component() {
    let mut client = Client::new();
    fs::create_dir(client.host("d")).unwrap();
    client.walk(ROOT, 1, &["d"]).unwrap();
    for name in ["..", ".", "", "/", "/etc", "../secret", "d/..", "a\0b", "d/x"] {
        assert_eq!(client.walk(1, 2, &[name]), Err(Errno::EINVAL), "{name:?}");
        assert_eq!(client.mkdir(1, name, 0o755, 0).unwrap_err(), Errno::EINVAL, "{name:?}");
        assert_eq!(client.mknod(1, name, 0o100_600).unwrap_err(), Errno::EINVAL, "{name:?}");
        assert_eq!(client.symlink(1, name, "x").unwrap_err(), Errno::EINVAL, "{name:?}");
        assert_eq!(client.link(ROOT, 1, name).unwrap_err(), Errno::EINVAL, "{name:?}");
        assert_eq!(client.unlink(1, name, 0).unwrap_err(), Errno::EINVAL, "{name:?}");
        assert_eq!(client.create(1, name, 2, 0o600).unwrap_err(), Errno::EINVAL, "{name:?}");
        assert_eq!(client.rename(1, name, 1, "x").unwrap_err(), Errno::EINVAL, "{name:?}");
        assert_eq!(client.rename(ROOT, "d", 1, name).unwrap_err(), Errno::EINVAL, "{name:?}");
    }
    assert_eq!(client.walk(1, 2, &["x"; 17]), Err(Errno::EINVAL), "too many names");
    assert_eq!(fs::read(client.outside().join("secret")).unwrap(), b"secret");
}

#[test]
fn links_are_never_followed() {
    let mut client = Client::new();
    symlink("/etc", client.host("etc")).unwrap();
    symlink("../secret", client.host("up")).unwrap();
    assert_eq!(client.walk(ROOT, 1, &["etc", "passwd"]), Ok(1), "the link itself");
    client.walk(ROOT, 1, &["etc"]).unwrap();
    assert_eq!(client.walk(1, 2, &["passwd"]), Err(Errno::ENOTDIR));
    assert_eq!(client.open(1, 0).unwrap_err(), Errno::EPERM);
    assert_eq!(client.mkdir(1, "x", 0o755, 0).unwrap_err(), Errno::ENOTDIR);
    client.walk(ROOT, 3, &["up"]).unwrap();
    assert_eq!(client.open(3, 2).unwrap_err(), Errno::EPERM);
    // Truncating and creating by way of a link.
    assert_eq!(client.setattr(3, 1 << 3, 0, 0).unwrap_err(), Errno::EINVAL);
    client.walk(ROOT, 4, &[]).unwrap();
    assert_eq!(client.create(4, "up", 0o1002, 0o600).unwrap_err(), Errno::EPERM);
    // A change of permissions reaches no target.
    let before = client.outside().join("secret").metadata().unwrap().mode();
    let _ = client.setattr(3, 1, 0o777, 0);
    assert_eq!(client.outside().join("secret").metadata().unwrap().mode(), before);
    // A hard link to it is one to the link.
    client.link(ROOT, 3, "hard").unwrap();
    assert!(client.host("hard").symlink_metadata().unwrap().is_symlink());
    assert_eq!(fs::read(client.outside().join("secret")).unwrap(), b"secret");
}

#[test]
fn a_link_that_is_swapped_in_leads_nowhere() {
    let mut client = Client::new();
    fs::create_dir(client.outside().join("other")).unwrap();
    fs::write(client.outside().join("other/file"), "outside").unwrap();
    fs::create_dir(client.host("d")).unwrap();
    fs::write(client.host("d/file"), "inside").unwrap();
    symlink("../other", client.host("l")).unwrap();
    let (share, stop) = (client.host(""), AtomicBool::new(false));
    thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                for (from, to) in [("d", "x"), ("l", "d"), ("d", "l"), ("x", "d")] {
                    fs::rename(share.join(from), share.join(to)).unwrap();
                }
            }
        });
        for _ in 0..3000 {
            if client.walk(ROOT, 1, &["d", "file"]) == Ok(2) {
                client.open(1, 0).unwrap();
                assert_eq!(client.read(1, 0, 100).unwrap(), b"inside");
                client.clunk(1).unwrap();
            }
        }
        stop.store(true, Ordering::Relaxed);
    });
}

#[test]
fn a_directory_that_leaves_the_share_has_no_way_up() {
    let mut client = Client::new();
    fs::create_dir_all(client.host("a/b")).unwrap();
    client.walk(ROOT, 1, &["a", "b"]).unwrap();
    fs::rename(client.host("a"), client.outside().join("moved")).unwrap();
    assert_eq!(client.walk(1, 2, &[".."]), Err(Errno::EINVAL));
    assert_eq!(client.walk(ROOT, 2, &["a"]), Err(Errno::ENOENT));
}

#[test]
fn there_is_a_limit_to_fids() {
    let mut client = Client::of("share", false, 64);
    let count = (1..).take_while(|fid| client.walk(ROOT, *fid, &[]).is_ok()).count();
    assert_eq!(count, 63);
    assert_eq!(client.walk(ROOT, 1000, &[]), Err(Errno::ENFILE));
    assert_eq!(client.attach(1000, 0).unwrap_err(), Errno::ENFILE);
    client.clunk(1).unwrap();
    client.walk(ROOT, 1000, &[]).unwrap();
}

#[test]
fn a_read_only_share_takes_no_change() {
    let mut client = Client::read_only();
    fs::write(client.host("a"), "x").unwrap();
    client.walk(ROOT, 1, &["a"]).unwrap();
    client.walk(ROOT, 2, &["a"]).unwrap();
    client.open(2, 0).unwrap();
    assert_eq!(client.read(2, 0, 9).unwrap(), b"x");
    let refused = [
        client.open(1, 1),
        client.open(1, 2),
        client.open(1, 0o1000),
        client.write(2, 0, b"y"),
        client.setattr(1, 1, 0o777, 0),
        client.setattr(1, 1 << 3, 0, 0),
        client.setattr(1, 1 << 5, 0, 0),
        client.create(ROOT, "b", 0, 0o600),
        client.create(ROOT, "a", 0, 0o600),
        client.mkdir(ROOT, "d", 0o755, 0),
        client.mknod(ROOT, "f", 0o010_600),
        client.symlink(ROOT, "l", "a"),
        client.link(ROOT, 1, "h"),
        client.rename(ROOT, "a", ROOT, "b"),
        client.unlink(ROOT, "a", 0),
    ];
    for (n, answer) in refused.into_iter().enumerate() {
        assert_eq!(answer.unwrap_err(), Errno::EROFS, "{n}");
    }
    assert_eq!(fs::read(client.host("a")).unwrap(), b"x");
    assert_eq!(fs::read_dir(client.host("")).unwrap().count(), 1);
}

#[test]
fn device_nodes_are_neither_made_nor_opened() {
    let mut client = Client::new();
    for mode in [0o020_666, 0o060_666, 0o040_755, 0o120_777, 0] {
        assert_eq!(client.mknod(ROOT, "dev", mode).unwrap_err(), Errno::EPERM, "{mode:o}");
    }
    client.mknod(ROOT, "fifo", 0o010_600).unwrap();
    client.walk(ROOT, 1, &["fifo"]).unwrap();
    // It would wait for a writer for ever.
    assert_eq!(client.open(1, 0).unwrap_err(), Errno::EPERM);
    client.walk(ROOT, 2, &[]).unwrap();
    assert_eq!(client.create(2, "fifo", 2, 0o600).unwrap_err(), Errno::EPERM);
    let made = nix::sys::stat::mknod(
        &client.host("null"),
        nix::sys::stat::SFlag::S_IFCHR,
        nix::sys::stat::Mode::S_IRWXU,
        nix::sys::stat::makedev(1, 3),
    );
    if made.is_err() {
        eprintln!("SKIPPED: a device node of the host, not root");
        return;
    }
    client.walk(ROOT, 3, &["null"]).unwrap();
    assert_eq!(client.open(3, 2).unwrap_err(), Errno::EPERM);
}

#[test]
fn procfs_shows_names_and_no_contents() {
    let export = Export::open("/proc".as_ref(), true).unwrap();
    let mut client = Client { connection: Connection::new(export, 64), ..Client::new() };
    client.attach(ROOT, 0).unwrap();
    // A link by magic: to a process, to a descriptor, to the root directory.
    assert_eq!(client.walk(ROOT, 1, &["self", "root", "etc"]), Ok(1));
    let pid = std::process::id().to_string();
    client.walk(ROOT, 1, &[&pid, "root"]).unwrap();
    assert_eq!(client.walk(1, 2, &["etc"]), Err(Errno::ENOTDIR));
    client.walk(ROOT, 3, &[&pid, "mem"]).unwrap();
    assert_eq!(client.open(3, 0).unwrap_err(), Errno::EACCES);
}

#[test]
fn a_message_has_a_size_within_bounds() {
    for size in [0, 6, MSIZE as u32 + 1, u32::MAX] {
        let mut client = Client::new();
        let mut bytes = message(kind::STATFS, |out| out.put_u32(ROOT));
        bytes[..4].copy_from_slice(&size.to_le_bytes());
        assert!(matches!(client.raw(&bytes), Err(Error::Size { .. })), "{size}");
    }
    let mut client = Client::new();
    let short = message(kind::WALK, |out| out.put_u32(ROOT));
    assert_eq!(client.raw(&short), Err(Error::Short { kind: kind::WALK }));
}

#[test]
fn counts_beyond_the_message_size_are_cut() {
    let mut client = Client::new();
    fs::write(client.host("big"), vec![1; 2 * MSIZE]).unwrap();
    client.walk(ROOT, 1, &["big"]).unwrap();
    client.open(1, 0).unwrap();
    assert_eq!(client.read(1, 0, u32::MAX).unwrap().len(), MSIZE - 24);
    assert_eq!(client.read(1, u64::MAX, 1).unwrap_err(), Errno::EINVAL);
    client.walk(ROOT, 2, &[]).unwrap();
    client.open(2, 0).unwrap();
    assert!(!client.list(2, u32::MAX).is_empty());
    let tiny = client.call(kind::VERSION, |out| {
        out.put_u32(100);
        out.put_string(b"9P2000.L");
    });
    assert_eq!(tiny.unwrap_err(), Errno::EMSGSIZE);
    assert_eq!(client.getattr(ROOT).unwrap_err(), Errno::EBADF, "a new conversation");
}

#[test]
fn data_longer_than_its_message_is_refused() {
    let mut client = Client::new();
    client.walk(ROOT, 1, &[]).unwrap();
    client.create(1, "a", 2, 0o600).unwrap();
    let lie = message(kind::WRITE, |out| {
        out.put_u32(1);
        out.put_u64(0);
        out.put_u32(1000);
        out.put(b"few");
    });
    assert_eq!(client.raw(&lie), Err(Error::Short { kind: kind::WRITE }));
    assert_eq!(fs::read(client.host("a")).unwrap(), b"");
}

/// A request of any type, with numbers that are often those of fids.
fn request() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![Just(0), Just(1), Just(b'a'), Just(b'.'), any::<u8>()];
    let kind = prop::sample::select((6..124).collect::<Vec<u8>>());
    (kind, proptest::collection::vec(byte, 0..80))
        .prop_map(|(kind, body)| message(kind, |out| out.put(&body)))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_bytes_are_safe(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = Client::new().raw(&bytes);
    }

    #[test]
    fn any_requests_are_safe(requests in proptest::collection::vec(request(), 0..60)) {
        let mut client = Client::new();
        for bytes in requests {
            if client.raw(&bytes).is_err() {
                break;
            }
        }
        prop_assert_eq!(fs::read(client.outside().join("secret")).unwrap(), b"secret");
        prop_assert_eq!(fs::read_dir(client.outside()).unwrap().count(), 2);
    }
}
