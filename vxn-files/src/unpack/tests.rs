use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use proptest::prelude::*;
use tar::{Builder, Header};

use super::*;
use crate::pack;

fn options() -> Options {
    let own = std::fs::metadata("/proc/self").unwrap();
    Options { owner: Some((own.uid(), own.gid())), devices: false, bytes: 1 << 20, entries: 10 }
}

/// An archive of entries: kind, name, what a link leads to or a file holds.
fn archive(entries: &[(EntryType, &str, &str)]) -> Vec<u8> {
    let mut tar = Builder::new(Vec::new());
    for (kind, name, text) in entries {
        let mut header = Header::new_gnu();
        let file = *kind == EntryType::Regular;
        header.set_entry_type(*kind);
        header.set_mode(0o755);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(1_000_000);
        header.set_size(if file { text.len() as u64 } else { 0 });
        // The crate's own setters refuse what is hostile.
        let old = header.as_old_mut();
        old.name[..name.len()].copy_from_slice(name.as_bytes());
        if !file {
            old.linkname[..text.len()].copy_from_slice(text.as_bytes());
        }
        header.set_cksum();
        tar.append(&header, if file { text.as_bytes() } else { b"" }).unwrap();
    }
    tar.into_inner().unwrap()
}

/// A directory `in` beside a file `secret`, and an archive unpacked into the former.
struct Yard {
    dir: tempfile::TempDir,
}

impl Yard {
    fn new() -> Yard {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("in")).unwrap();
        fs::write(dir.path().join("secret"), "safe").unwrap();
        Yard { dir }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join("in").join(name)
    }

    /// Unpacks a tree as `vxn cp` does in Dom0: paths are those of this machine.
    fn tree(&self, to: &str, bytes: &[u8]) -> Result<()> {
        let root = Root::open(Path::new("/")).unwrap();
        let done = unpack_tree(&root, &self.path(to), &options(), &mut &*bytes);
        self.untouched();
        done
    }

    fn untouched(&self) {
        let mut names: Vec<_> =
            fs::read_dir(&self.dir).unwrap().map(|e| e.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["in", "secret"]);
        assert_eq!(fs::read_to_string(self.dir.path().join("secret")).unwrap(), "safe");
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }
}

const DIR: EntryType = EntryType::Directory;
const FILE: EntryType = EntryType::Regular;
const LINK: EntryType = EntryType::Symlink;
const HARD: EntryType = EntryType::Link;

#[test]
fn a_file_goes_where_the_table_says() {
    let file = archive(&[(FILE, "f", "new")]);
    let yard = Yard::new();
    yard.tree("made", &file).unwrap();
    assert_eq!(yard.read("made"), "new");
    yard.tree("", &file).unwrap();
    assert_eq!(yard.read("f"), "new");
    fs::write(yard.path("f"), "old").unwrap();
    symlink("f", yard.path("link")).unwrap();
    yard.tree("link", &file).unwrap();
    assert_eq!(yard.read("f"), "new", "a link at the destination is followed");
    assert!(matches!(yard.tree("none/", &file), Err(Error::Refused(Refusal::NoSuchDirectory))));
    assert!(matches!(yard.tree("none/f", &file), Err(Error::NotFound(_))));
    assert!(matches!(yard.tree("f/", &file), Err(Error::Refused(Refusal::NotADirectory))));
}

#[test]
fn a_directory_goes_where_the_table_says() {
    let tree = archive(&[(DIR, "d/", ""), (FILE, "d/f", "1"), (HARD, "d/h", "d/f")]);
    let contents = archive(&[(DIR, "./", ""), (FILE, "f", "2")]);
    let yard = Yard::new();
    yard.tree("made", &tree).unwrap();
    assert_eq!((yard.read("made/f"), yard.read("made/h")), ("1".into(), "1".into()));
    yard.tree("made", &tree).unwrap();
    assert_eq!(yard.read("made/d/f"), "1");
    yard.tree("made", &contents).unwrap();
    assert_eq!(yard.read("made/f"), "2");
    yard.tree("other", &contents).unwrap();
    assert_eq!(yard.read("other/f"), "2");
    fs::write(yard.path("file"), "").unwrap();
    assert!(matches!(yard.tree("file", &tree), Err(Error::Refused(Refusal::DirectoryOverFile))));
}

#[test]
fn hostile_archives_stay_inside() {
    for entries in [
        &[(FILE, "d/../../secret", "x")][..],
        &[(FILE, "../secret", "x")],
        &[(DIR, "d", ""), (LINK, "d/l", "../.."), (FILE, "d/l/secret", "x")],
        &[(DIR, "d", ""), (LINK, "d/l", "/"), (FILE, "d/l/tmp/vxn-hostile", "x")],
        &[(DIR, "d", ""), (HARD, "d/h", "../secret"), (FILE, "d/h", "x")],
        &[(DIR, "d", ""), (LINK, "d/l", "../.."), (HARD, "d/h", "d/l/secret")],
        &[(DIR, "d", ""), (FILE, "elsewhere", "x")],
        &[(DIR, "d", ""), (LINK, "d/l", "../.."), (DIR, "d/l", "")],
        &[(DIR, "d", ""), (EntryType::Block, "d/disk", "")],
        &[(DIR, "d", ""), (EntryType::GNUSparse, "d/sparse", "")],
        &[],
    ] {
        let yard = Yard::new();
        yard.tree("d", &archive(entries)).expect_err(&format!("{entries:?}"));
    }
    assert!(!Path::new("/tmp/vxn-hostile").exists());
    // What leads nowhere is only a name.
    let yard = Yard::new();
    yard.tree("d", &archive(&[(DIR, "d", ""), (LINK, "d/l", "/etc/shadow"), (FILE, "d/l", "x")]))
        .unwrap();
    assert_eq!(yard.read("d/l"), "x", "the link is replaced, not followed");
    yard.tree("abs", &archive(&[(FILE, "/f", "x")])).unwrap();
    assert_eq!(yard.read("abs"), "x");
}

#[test]
fn there_is_a_bound_to_everything() {
    let yard = Yard::new();
    let long = "x".repeat(2 << 20);
    let mut tar = Builder::new(Vec::new());
    let mut header = Header::new_gnu();
    header.set_size(0);
    // A long name of two megabytes goes before the entry.
    tar.append_data(&mut header, &long, io::empty()).unwrap();
    assert!(yard.tree("f", &tar.into_inner().unwrap()).is_err());
    let big = archive(&[(FILE, "f", &"x".repeat((1 << 20) + 1))]);
    assert!(yard.tree("f", &big).unwrap_err().to_string().contains("more than"), "a byte too much");
    let many: Vec<_> = (0..11).map(|n| format!("d/{n}")).collect();
    let many: Vec<_> = many.iter().map(|name| (FILE, name.as_str(), "")).collect();
    let many = archive(&[&[(DIR, "d", "")], &many[..]].concat());
    assert!(yard.tree("d", &many).unwrap_err().to_string().contains("more than"), "an entry");
    let cut = archive(&[(FILE, "f", &"x".repeat(100_000))]);
    assert!(yard.tree("g", &cut[..50_000]).is_err(), "half of it");
}

#[test]
fn any_archive_needs_a_directory_and_stays_in_it() {
    let yard = Yard::new();
    let root = Root::open(Path::new("/")).unwrap();
    let bytes = archive(&[(FILE, "/a/b", "1"), (FILE, "c", "2"), (LINK, "up", "..")]);
    unpack_all(&root, &yard.path(""), &options(), &mut &*bytes).unwrap();
    assert_eq!((yard.read("a/b"), yard.read("c")), ("1".into(), "2".into()));
    let through = archive(&[(FILE, "up/secret", "x")]);
    assert!(unpack_all(&root, &yard.path(""), &options(), &mut &*through).is_err());
    assert!(unpack_all(&root, &yard.path("c"), &options(), &mut &*bytes).is_err());
    assert!(unpack_all(&root, &yard.path("none"), &options(), &mut &*bytes).is_err());
    yard.untouched();
}

#[test]
fn a_tree_comes_back_as_it_was() {
    let yard = Yard::new();
    let long = "n".repeat(200);
    fs::create_dir_all(yard.path("d/sub")).unwrap();
    fs::write(yard.path("d/sub").join(&long), vec![7; 100_000]).unwrap();
    fs::write(yard.path("d/run"), "#!").unwrap();
    fs::set_permissions(yard.path("d/run"), Permissions::from_mode(0o4751)).unwrap();
    fs::hard_link(yard.path("d/run"), yard.path("d/same")).unwrap();
    symlink("/no/where", yard.path("d/link")).unwrap();
    fs::set_permissions(yard.path("d/sub"), Permissions::from_mode(0o500)).unwrap();
    let root = Root::open(&yard.path("")).unwrap();
    let mut bytes = Vec::new();
    pack(&root, Path::new("/d"), false, &mut bytes).unwrap();
    unpack_tree(&root, Path::new("/copy"), &options(), &mut &*bytes).unwrap();
    for name in ["", "run", "link", "sub"] {
        let of = |tree: &str| {
            let meta = fs::symlink_metadata(yard.path(tree).join(name)).unwrap();
            (meta.mode(), meta.mtime(), meta.uid())
        };
        assert_eq!(of("copy"), of("d"), "{name:?}");
    }
    let ino = |name: &str| fs::metadata(yard.path(name)).unwrap().ino();
    assert_eq!(ino("copy/run"), ino("copy/same"));
    assert_eq!(fs::read(yard.path("copy/sub").join(&long)).unwrap(), vec![7; 100_000]);
    assert_eq!(fs::read_link(yard.path("copy/link")).unwrap(), Path::new("/no/where"));
    let mut again = Vec::new();
    pack(&root, Path::new("/copy/."), false, &mut again).unwrap();
    assert!(again.starts_with(b"./\0"));
    assert!(matches!(pack(&root, Path::new("/no"), false, &mut again), Err(Error::NotFound(_))));
    assert!(pack(&root, Path::new("/d/run/"), false, &mut again).is_err());
    fs::set_permissions(yard.path("d/sub"), Permissions::from_mode(0o700)).unwrap();
    fs::set_permissions(yard.path("copy/sub"), Permissions::from_mode(0o700)).unwrap();
}

fn hostile_entry() -> impl Strategy<Value = (EntryType, String, String)> {
    let part =
        prop_oneof!["[ab]", Just("..".to_owned()), Just("secret".to_owned()), Just(".".to_owned())];
    let path = (any::<bool>(), prop::collection::vec(part, 1..4))
        .prop_map(|(root, parts)| (if root { "/" } else { "" }).to_owned() + &parts.join("/"));
    let kind = prop_oneof![Just(DIR), Just(FILE), Just(LINK), Just(HARD), Just(EntryType::Fifo)];
    (kind, path.clone(), path)
}

proptest! {
    #[test]
    fn no_archive_touches_what_is_outside(
        entries in prop::collection::vec(hostile_entry(), 0..8),
        damage in prop::option::of((any::<prop::sample::Index>(), any::<u8>())),
    ) {
        let yard = Yard::new();
        let entries: Vec<_> =
            entries.iter().map(|(kind, name, text)| (*kind, name.as_str(), text.as_str())).collect();
        let mut bytes = archive(&entries);
        if let Some((at, byte)) = damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let _ = yard.tree("", &bytes);
        let root = Root::open(Path::new("/")).unwrap();
        let _ = unpack_all(&root, &yard.path(""), &options(), &mut &*bytes);
        yard.untouched();
    }
}

fn layer(yard: &Yard, entries: &[(EntryType, &str, &str)]) -> Result<u64> {
    let root = Root::open(&yard.path("")).unwrap();
    let done = unpack_layer(&root, &options(), &mut &*archive(entries));
    yard.untouched();
    done
}

#[test]
fn a_layer_removes_what_it_marks_and_replaces_what_is_there() {
    let yard = Yard::new();
    fs::create_dir_all(yard.path("gone/deep/deeper")).unwrap();
    fs::create_dir_all(yard.path("dir/sub")).unwrap();
    for name in ["gone/f", "gone/deep/g", "gone/deep/deeper/h", "dir/f", "dir/sub/f", "file", "old"]
    {
        fs::write(yard.path(name), "old").unwrap();
    }
    symlink("../..", yard.path("gone/up")).unwrap();
    let done = layer(
        &yard,
        &[
            (FILE, ".wh.gone", ""),
            (FILE, ".wh.never", ""),
            (FILE, ".wh.old", ""),
            (FILE, "dir", "a file"),
            (DIR, "file/", ""),
            (FILE, "file/in", "new"),
            (FILE, "none/such", "made"),
        ],
    );
    assert_eq!(done.unwrap(), 7);
    for name in ["gone", "old", ".wh.old"] {
        assert!(fs::symlink_metadata(yard.path(name)).is_err(), "{name}");
    }
    assert_eq!((yard.read("dir"), yard.read("file/in")), ("a file".into(), "new".into()));
    assert_eq!(yard.read("none/such"), "made");
    assert_eq!(layer(&yard, &[]).unwrap(), 0);
}

#[test]
fn a_hostile_layer_stays_inside() {
    for entries in [
        &[(FILE, "../.wh.secret", "")][..],
        &[(LINK, "l", ".."), (FILE, "l/.wh.secret", "")],
        &[(LINK, "l", ".."), (FILE, "l/secret", "x")],
        &[(HARD, "h", "../secret"), (FILE, "h", "x")],
        &[(FILE, ".wh...", "")],
        &[(FILE, ".wh..", "")],
        &[(FILE, ".wh.", "")],
        &[(FILE, ".wh..wh..opq", "")],
        &[(EntryType::Char, "disk", "")],
    ] {
        layer(&Yard::new(), entries).expect_err(&format!("{entries:?}"));
    }
    // A link is replaced and removed as what it is.
    let yard = Yard::new();
    layer(&yard, &[(LINK, "l", ".."), (FILE, "l", "x")]).unwrap();
    assert_eq!(yard.read("l"), "x");
    layer(&yard, &[(LINK, "m", ".."), (FILE, ".wh.m", "")]).unwrap();
    layer(&yard, &[(LINK, "n", ".."), (DIR, "n/", ""), (FILE, "n/secret", "mine")]).unwrap();
    assert_eq!(yard.read("n/secret"), "mine");
}

#[test]
fn however_deep_a_directory_is_it_goes() {
    let yard = Yard::new();
    let deep = "d/".repeat(1500);
    fs::create_dir_all(yard.path(&deep)).unwrap();
    layer(&yard, &[(FILE, ".wh.d", "")]).unwrap();
    assert!(!yard.path("d").exists());
}
