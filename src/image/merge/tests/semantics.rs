//! What layers mean, case by case.

use super::*;

#[test]
fn no_layers_make_an_empty_tree() {
    assert_eq!(list(&[]), [""; 0]);
    assert_eq!(list(&[Archive::new().end()]), [""; 0]);
    assert_eq!(list(&[Vec::new()]), [""; 0]);
}

#[test]
fn implied_directories_are_made() {
    let archive = merged(&[Archive::new().file("a/b/c", "x").end()]).unwrap();
    let found = contents(&archive);
    assert_eq!(found[&b"a/b"[..]].kind, EntryType::Directory);
    assert_eq!(found[&b"a/b"[..]].mode, 0o755);
}

#[test]
fn spelling_of_names_means_nothing() {
    let layer = Archive::new().dir("./").file("./a//b/./c", "1").file("/d", "2").dir("e/").end();
    assert_eq!(list(&[layer]), ["a/", "a/b/", "a/b/c=1", "d=2", "e/"]);
}

#[test]
fn the_last_of_equal_names_wins() {
    let layer =
        Archive::new().file("a", "1").file("a", "2").dir("d").file("d/x", "").file("d", "3");
    assert_eq!(list(&[layer.end()]), ["a=2", "d=3"]);
    let layer = Archive::new().file("d/x", "1").dir("d").end();
    assert_eq!(list(&[layer]), ["d/", "d/x=1"], "a directory keeps what is in it");
}

#[test]
fn upper_layers_replace_and_join() {
    let lower = Archive::new().file("d/a", "1").file("d/b", "1").file("e", "1").end();
    let upper = Archive::new().file("d/b", "2").file("d/c", "2").file("e/f", "2").end();
    assert_eq!(list(&[lower, upper]), ["d/", "d/a=1", "d/b=2", "d/c=2", "e/", "e/f=2"]);
}

#[test]
fn an_implied_directory_keeps_the_lower_ones_attributes() {
    let lower = Archive::new().raw(Archive::header(b'5', b"d", 0), b"").end();
    let upper = Archive::new().file("d/a", "").end();
    let found = contents(&merged(&[lower, upper]).unwrap());
    assert_eq!(found[&b"d"[..]].mode, 0o644);
}

#[test]
fn whiteouts_hide_lower_layers_only() {
    let lower = Archive::new().file("a", "1").file("d/x", "1").file("keep", "1").end();
    let upper = Archive::new().file("a", "2").file(".wh.a", "").file(".wh.d", "").file("d/y", "2");
    assert_eq!(list(&[lower, upper.end()]), ["a=2", "d/", "d/y=2", "keep=1"]);
}

#[test]
fn an_opaque_directory_hides_what_was_below() {
    let lower = Archive::new().file("d/old", "1").file("d/s/t", "1").end();
    for upper in [
        Archive::new().file("d/new", "2").file("d/.wh..wh..opq", ""),
        Archive::new().file("d/.wh..wh..opq", "").file("d/new", "2"),
    ] {
        assert_eq!(list(&[lower.clone(), upper.end()]), ["d/", "d/new=2"]);
    }
    let root = Archive::new().file(".wh..wh..opq", "").end();
    assert_eq!(list(&[lower, root]), [""; 0]);
}

#[test]
fn whiteouts_of_nothing_make_nothing() {
    let lower = Archive::new().file("f", "1").end();
    let upper =
        Archive::new().file("no/such/.wh.x", "").file("f/.wh.x", "").file("o/.wh..wh..opq", "");
    assert_eq!(list(&[lower, upper.end()]), ["f=1"]);
}

#[test]
fn the_books_of_aufs_are_dropped() {
    let layer =
        Archive::new().dir(".wh..wh.plnk").file(".wh..wh.plnk/12.3", "").file(".wh..wh.aufs", "");
    assert_eq!(list(&[layer.file("a", "1").end()]), ["a=1"]);
}

#[test]
fn hard_links_share_and_survive_their_first_name() {
    let lower = Archive::new().file("b", "1").hard_link("c", "b").hard_link("a", "./c").end();
    assert_eq!(list(from_ref(&lower)), ["a=1", "b==a", "c==a"]);
    let upper = Archive::new().file(".wh.a", "").file("b", "2").end();
    assert_eq!(list(&[lower, upper]), ["b=2", "c=1"]);
}

#[test]
fn hard_links_reach_lower_layers() {
    let lower = Archive::new().file("d/a", "1").end();
    let upper = Archive::new().hard_link("b", "/d/a").file("d/.wh.a", "").end();
    assert_eq!(list(&[lower, upper]), ["b=1", "d/"]);
}

#[test]
fn hard_links_to_symbolic_links_and_devices_work() {
    let layer =
        Archive::new().symlink("s", "nowhere").hard_link("t", "s").entry(b'6', "p", "", b"");
    assert_eq!(list(&[layer.hard_link("q", "p").end()]), ["p?", "q==p", "s->nowhere", "t==s"]);
}

#[test]
fn symbolic_links_are_followed_in_their_own_layer() {
    let layer = Archive::new().dir("usr/lib").symlink("lib", "usr/lib").file("lib/a", "1");
    let layer = layer.symlink("up", "../../../usr").file("up/b", "2").hard_link("c", "lib/a");
    assert_eq!(
        list(&[layer.end()]),
        ["c=1", "lib->usr/lib", "up->../../../usr", "usr/", "usr/b=2", "usr/lib/", "usr/lib/a==c"]
    );
}

#[test]
fn a_name_over_a_lower_symbolic_link_replaces_it() {
    let lower = Archive::new().file("usr/lib/a", "1").symlink("lib", "usr/lib").end();
    let upper = Archive::new().file("lib/b", "2").end();
    assert_eq!(list(&[lower, upper]), ["lib/", "lib/b=2", "usr/", "usr/lib/", "usr/lib/a=1"]);
}

#[test]
fn long_names_targets_and_attributes_are_kept() {
    let (long, target) = (["n".repeat(255), "m".repeat(255)].join("/"), "t".repeat(4000));
    let value = b"\x00=\n 12 a=b\n";
    let layer = Archive::new()
        .pax(&[("path", long.as_bytes()), ("linkpath", target.as_bytes())])
        .symlink("short", "short")
        .pax(&[
            ("SCHILY.xattr.user.x", value),
            ("SCHILY.xattr.user.e", b""),
            ("uid", b"4294967294"),
        ])
        .file("attr", "1")
        .pax(&[("SCHILY.xattr.trusted.overlay.opaque", b"y"), ("SCHILY.xattr.system.acl", b"z")])
        .dir("dir");
    let archive = merged(&[layer.end()]).unwrap();
    assert_eq!(contents(&archive)[long.as_bytes()].content, target.as_bytes());
    let mut read = crate::image::merge::read::Archive::new(&archive[..], 0, u64::MAX);
    let mut metas = BTreeMap::new();
    while let Some(entry) = read.next_entry().unwrap() {
        metas.insert(entry.path, entry.meta);
    }
    let attr = &metas[&b"attr"[..]];
    let kept = [(b"user.x".to_vec(), value.to_vec()), (b"user.e".to_vec(), Vec::new())];
    assert_eq!(attr.xattrs, kept);
    assert_eq!((attr.uid, attr.mtime), (4_294_967_294, 1_000));
    assert_eq!(metas[&b"dir"[..]].xattrs, []);
}

#[test]
fn gnu_long_names_and_numbers_are_read() {
    let (name, link) = ("n".repeat(200), "l".repeat(300));
    let mut header = Archive::header(b'2', b"short", 0);
    header.set_mtime(1 << 40);
    header.set_uid(3_000_000);
    let layer = Archive::new()
        .raw(Archive::header(b'L', b"././@LongLink", 201), format!("{name}\0").as_bytes())
        .raw(Archive::header(b'K', b"././@LongLink", 301), format!("{link}\0").as_bytes())
        .raw(header, b"");
    assert_eq!(list(&[layer.end()]), [format!("{name}->{link}")]);
}

#[test]
fn names_are_bytes() {
    let layer = Archive::new().raw(Archive::header(b'0', b"\xff\xfe", 0), b"").end();
    assert!(contents(&merged(&[layer]).unwrap()).contains_key(&b"\xff\xfe"[..]));
}

#[test]
fn times_are_as_far_as_squashfs_reaches() {
    for (pax, seconds) in [(&b"-5.5"[..], 0), (b"12.9", 12), (b"99999999999", u32::MAX)] {
        let layer = Archive::new().pax(&[("mtime", pax)]).file("a", "").end();
        let archive = merged(&[layer]).unwrap();
        let mut read = crate::image::merge::read::Archive::new(&archive[..], 0, u64::MAX);
        assert_eq!(read.next_entry().unwrap().unwrap().meta.mtime, seconds);
    }
}

#[test]
fn what_follows_the_end_mark_is_read_and_ignored() {
    let mut layer = Archive::new().file("a", "1").end();
    layer.extend(Archive::new().file("b", "2").end());
    assert_eq!(list(&[layer]), ["a=1"]);
    assert_eq!(list(&[Archive::new().file("a", "1").cut()]), ["a=1"], "no end mark");
}

#[test]
fn global_headers_are_ignored() {
    let mut data = Vec::new();
    pax::push(&mut data, b"path", b"evil");
    let layer = Archive::new().raw(Archive::header(b'g', b"pax_global", data.len() as u64), &data);
    assert_eq!(list(&[layer.file("a", "1").end()]), ["a=1"]);
}
