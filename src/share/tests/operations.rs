//! What an honest guest does.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};

use super::*;

const RDWR: u32 = 2;
const EXCL: u32 = 0o200;
const TRUNC: u32 = 0o1000;
const APPEND: u32 = 0o2000;

/// Whether owners can be set here.
fn root() -> bool {
    let root = nix::unistd::geteuid().is_root();
    if !root {
        eprintln!("SKIPPED: owners, not root");
    }
    root
}

#[test]
fn a_file_is_made_written_and_read() {
    let mut client = Client::new();
    client.walk(ROOT, 1, &[]).unwrap();
    client.create(1, "a", RDWR | EXCL, 0o640).unwrap();
    assert_eq!(client.write(1, 0, b"hello").unwrap(), 5_u32.to_le_bytes());
    client.write(1, 3, b"p me").unwrap();
    assert_eq!(client.read(1, 0, 1000).unwrap(), b"help me");
    assert_eq!(client.read(1, 5, 1).unwrap(), b"m");
    assert_eq!(client.read(1, 7, 10).unwrap(), b"");
    client.call(kind::FSYNC, |out| out.put_u32(1)).unwrap();
    assert_eq!(fs::read(client.host("a")).unwrap(), b"help me");
    assert_eq!(client.host("a").metadata().unwrap().permissions().mode(), 0o100_640);
    client.clunk(1).unwrap();
    assert_eq!(client.read(1, 0, 1).unwrap_err(), Errno::EBADF);
}

#[test]
fn what_the_host_writes_is_there_at_once() {
    let mut client = Client::new();
    fs::write(client.host("live"), "one").unwrap();
    client.walk(ROOT, 1, &["live"]).unwrap();
    client.open(1, 0).unwrap();
    assert_eq!(client.read(1, 0, 10).unwrap(), b"one");
    fs::write(client.host("live"), "three").unwrap();
    assert_eq!(client.read(1, 0, 10).unwrap(), b"three");
    assert_eq!(client.getattr(1).unwrap().size, 5);
}

#[test]
fn opening_truncates_and_appends() {
    let mut client = Client::new();
    fs::write(client.host("log"), "one").unwrap();
    client.walk(ROOT, 1, &["log"]).unwrap();
    client.open(1, RDWR | APPEND).unwrap();
    client.write(1, 0, b" two").unwrap();
    assert_eq!(fs::read(client.host("log")).unwrap(), b"one two");
    client.walk(ROOT, 2, &["log"]).unwrap();
    client.open(2, RDWR | TRUNC).unwrap();
    assert_eq!(client.getattr(1).unwrap().size, 0);
}

#[test]
fn a_file_that_is_there_is_made_only_without_excl() {
    let mut client = Client::new();
    fs::write(client.host("a"), "old").unwrap();
    client.walk(ROOT, 1, &[]).unwrap();
    assert_eq!(client.create(1, "a", RDWR | EXCL, 0o600).unwrap_err(), Errno::EEXIST);
    client.create(1, "a", RDWR, 0o600).unwrap();
    assert_eq!(client.read(1, 0, 10).unwrap(), b"old");
}

#[test]
fn new_things_belong_to_whom_the_guest_says() {
    if !root() {
        return;
    }
    let mut client = Client::new();
    client.attach(9, 1000).unwrap();
    client.mkdir(9, "d", 0o2775, 1001).unwrap();
    client.mknod(9, "fifo", 0o010_622).unwrap();
    client.symlink(9, "link", "nowhere").unwrap();
    client.walk(9, 1, &["d"]).unwrap();
    client.create(1, "suid", RDWR, 0o4755).unwrap();
    let of = |path: &str| {
        let meta = fs::symlink_metadata(client.host(path)).unwrap();
        (meta.uid(), meta.gid(), meta.mode())
    };
    assert_eq!(of("d"), (1000, 1001, 0o042_775));
    assert_eq!(of("fifo"), (1000, 0, 0o010_622));
    assert_eq!((of("link").0, of("link").1), (1000, 0));
    assert_eq!(of("d/suid"), (1000, 0, 0o104_755));
}

#[test]
fn attributes_are_read_and_set() {
    let mut client = Client::new();
    fs::write(client.host("a"), "12345").unwrap();
    client.walk(ROOT, 1, &["a"]).unwrap();
    // Mode, then size, then both times.
    client.setattr(1, 1, 0o4711, 0).unwrap();
    client.setattr(1, 1 << 3, 0, 3).unwrap();
    client.setattr(1, 1 << 4 | 1 << 5 | 1 << 7 | 1 << 8, 0, 1_000_000_000).unwrap();
    let seen = client.getattr(1).unwrap();
    assert_eq!((seen.mode, seen.size, seen.mtime), (0o104_711, 3, 1_000_000_000));
    assert_eq!(seen.nlink, 1);
    client.setattr(1, 1 << 5, 0, 0).unwrap();
    assert!(client.getattr(1).unwrap().mtime > 1_000_000_000, "now");
    if root() {
        client.setattr(1, 1 << 1 | 1 << 2, 4711, 0).unwrap();
        let seen = client.getattr(1).unwrap();
        assert_eq!((seen.uid, seen.gid), (4711, 4711));
    }
    assert_eq!(client.setattr(ROOT, 1 << 3, 0, 3).unwrap_err(), Errno::EINVAL);
}

#[test]
fn a_links_own_attributes_are_set_and_not_its_targets() {
    let mut client = Client::new();
    fs::write(client.host("target"), "x").unwrap();
    symlink("target", client.host("link")).unwrap();
    client.walk(ROOT, 1, &["link"]).unwrap();
    client.walk(1, 2, &[]).unwrap();
    let before = client.host("target").metadata().unwrap().mtime();
    client.setattr(2, 1 << 5 | 1 << 8, 0, 1_000_000_000).unwrap();
    assert_eq!(client.getattr(2).unwrap().mode & 0o170_000, 0o120_000);
    assert_eq!(client.getattr(2).unwrap().mtime, 1_000_000_000);
    assert_eq!(client.host("target").metadata().unwrap().mtime(), before);
    let target = client.call(kind::READLINK, |out| out.put_u32(2)).unwrap();
    assert_eq!(target, b"\x06\x00target");
}

#[test]
fn names_are_linked_renamed_and_removed() {
    let mut client = Client::new();
    client.mkdir(ROOT, "d", 0o755, 0).unwrap();
    fs::write(client.host("a"), "x").unwrap();
    client.walk(ROOT, 1, &["a"]).unwrap();
    client.walk(ROOT, 2, &["d"]).unwrap();
    client.link(2, 1, "b").unwrap();
    assert_eq!(client.getattr(1).unwrap().nlink, 2);
    client.rename(ROOT, "a", 2, "c").unwrap();
    client.open(2, 0).unwrap();
    let names = [(".", 4), ("..", 4), ("b", 8), ("c", 8)].map(|(n, kind)| (n.to_owned(), kind));
    assert_eq!(client.list(2, 8000), names);
    assert_eq!(client.unlink(ROOT, "d", 0x200).unwrap_err(), Errno::ENOTEMPTY);
    assert_eq!(client.unlink(ROOT, "d", 0).unwrap_err(), Errno::EISDIR);
    client.unlink(2, "b", 0).unwrap();
    client.unlink(2, "c", 0).unwrap();
    client.unlink(ROOT, "d", 0x200).unwrap();
    // The file is there for as long as somebody has it.
    assert_eq!(client.getattr(1).unwrap().nlink, 0);
    client.open(1, 0).unwrap();
    assert_eq!(client.read(1, 0, 9).unwrap(), b"x");
}

#[test]
fn a_large_directory_is_read_in_pieces() {
    let mut client = Client::new();
    let names: Vec<String> = (0..500).map(|n| format!("{n:03}{}", "x".repeat(n % 200))).collect();
    for name in &names {
        fs::write(client.host(name), "").unwrap();
    }
    client.walk(ROOT, 1, &[]).unwrap();
    client.open(1, 0).unwrap();
    for room in [300, 1000, 100_000] {
        let seen: Vec<String> = client.list(1, room).into_iter().map(|(name, _)| name).collect();
        assert_eq!(seen[2..], names, "{room}");
    }
}

#[test]
fn an_open_directory_is_walked_from() {
    let mut client = Client::new();
    fs::write(client.host("a"), "x").unwrap();
    client.walk(ROOT, 1, &[]).unwrap();
    client.open(1, 0).unwrap();
    client.walk(1, 2, &["a"]).unwrap();
    client.open(2, 0).unwrap();
    client.walk(2, 3, &[]).unwrap();
    client.open(3, RDWR).unwrap();
    assert_eq!(client.read(3, 0, 9).unwrap(), b"x");
}

#[test]
fn a_walk_stops_where_there_is_nothing() {
    let mut client = Client::new();
    fs::create_dir_all(client.host("a/b")).unwrap();
    assert_eq!(client.walk(ROOT, 1, &["a", "b"]), Ok(2));
    assert_eq!(client.walk(ROOT, 2, &["a", "x", "y"]), Ok(1));
    assert_eq!(client.getattr(2).unwrap_err(), Errno::EBADF);
    assert_eq!(client.walk(ROOT, 2, &["x"]), Err(Errno::ENOENT));
    assert_eq!(client.walk(ROOT, 1, &["a"]), Err(Errno::EBADF), "the number is taken");
    assert_eq!(client.walk(1, 1, &[]), Ok(0));
}

#[test]
fn what_is_not_offered_is_said_so() {
    let mut client = Client::new();
    fs::write(client.host("a"), "x").unwrap();
    client.walk(ROOT, 1, &["a"]).unwrap();
    // xattrwalk and rename by fid.
    for kind in [30, 20, 99] {
        let answer = client.call(kind, |out| out.put(&[0; 30]));
        assert_eq!(answer.unwrap_err(), Errno::EOPNOTSUPP, "{kind}");
    }
    assert_eq!(client.call(kind::REMOVE, |out| out.put_u32(1)).unwrap_err(), Errno::EOPNOTSUPP);
    assert_eq!(client.clunk(1).unwrap_err(), Errno::EBADF, "a remove ends its fid");
    client.call(kind::FLUSH, |out| out.put_u16(7)).unwrap();
    let body = client.call(kind::STATFS, |out| out.put_u32(ROOT)).unwrap();
    assert_eq!(body.len(), 4 + 4 + 6 * 8 + 4);
}

#[test]
fn locks_are_the_guests_own() {
    let mut client = Client::new();
    client.walk(ROOT, 1, &[]).unwrap();
    client.create(1, "a", RDWR, 0o600).unwrap();
    let range = |out: &mut Vec<u8>| {
        out.put_u64(1);
        out.put_u64(2);
        out.put_u32(3);
        out.put_string(b"box");
    };
    let body = client.call(kind::LOCK, |out| {
        out.put_u32(1);
        out.put_u8(1);
        out.put_u32(0);
        range(out);
    });
    assert_eq!(body.unwrap(), [0]);
    let body = client.call(kind::GETLOCK, |out| {
        out.put_u32(1);
        out.put_u8(1);
        range(out);
    });
    let mut free = vec![2];
    range(&mut free);
    assert_eq!(body.unwrap(), free);
}

#[test]
fn a_share_of_one_file_is_a_directory_that_holds_it() {
    let mut client = Client::of("secret", false, 64);
    assert_eq!(client.getattr(ROOT).unwrap().mode, 0o040_555);
    client.walk(ROOT, 1, &["file"]).unwrap();
    client.open(1, RDWR).unwrap();
    assert_eq!(client.read(1, 0, 100).unwrap(), b"secret");
    client.write(1, 0, b"S").unwrap();
    assert_eq!(fs::read(client.outside().join("secret")).unwrap(), b"Secret");
    client.walk(ROOT, 2, &[]).unwrap();
    client.open(2, 0).unwrap();
    assert_eq!(client.list(2, 1000), [("file".to_owned(), 8)]);
    client.call(kind::STATFS, |out| out.put_u32(ROOT)).unwrap();
    for name in ["secret", "share", "x"] {
        assert_eq!(client.walk(ROOT, 3, &[name]), Err(Errno::ENOENT));
    }
    assert_eq!(client.mkdir(ROOT, "x", 0o755, 0).unwrap_err(), Errno::EPERM);
    assert_eq!(client.unlink(ROOT, "file", 0).unwrap_err(), Errno::EPERM);
    assert_eq!(client.rename(ROOT, "file", ROOT, "x").unwrap_err(), Errno::EPERM);
    assert_eq!(client.setattr(ROOT, 1, 0o777, 0).unwrap_err(), Errno::EPERM);
    // What is put in the file's place later is not what was shared.
    fs::remove_file(client.outside().join("secret")).unwrap();
    fs::write(client.outside().join("secret"), "other").unwrap();
    assert_eq!(client.read(1, 0, 100).unwrap(), b"Secret");
}

#[test]
fn fifos_and_sockets_are_names_for_the_guest() {
    let mut client = Client::new();
    client.mknod(ROOT, "fifo", 0o010_600).unwrap();
    client.mknod(ROOT, "socket", 0o140_600).unwrap();
    client.mknod(ROOT, "file", 0o100_600).unwrap();
    let of = |name: &str| fs::symlink_metadata(client.host(name)).unwrap().file_type();
    assert!(of("fifo").is_fifo() && of("socket").is_socket() && of("file").is_file());
}

#[test]
fn messages_come_in_any_pieces() {
    let mut client = Client::new();
    let bytes = [0_u32; 3].map(|_| message(kind::STATFS, |out| out.put_u32(ROOT))).concat();
    let mut answers = 0;
    for byte in &bytes {
        answers += client.raw(&[*byte]).unwrap().len();
    }
    assert_eq!(answers, 3);
    assert_eq!(client.raw(&bytes).unwrap().len(), 3);
}
