//! What is refused, and whose name is given.

use super::*;

macro_rules! refused {
    ($layers:expr, $why:pat, $entry:expr) => {{
        let (why, entry) = refusal(&$layers);
        assert!(matches!(why, $why), "{why}");
        assert_eq!(entry.as_deref(), $entry);
    }};
}

#[test]
fn names_that_escape() {
    for name in ["..", "../a", "a/../../b", "/../a", "a/.."] {
        refused!([Archive::new().file(name, "").end()], Refusal::Escapes, Some(name));
        refused!([Archive::new().hard_link("l", name).end()], Refusal::Escapes, Some("l"));
    }
}

#[test]
fn whiteouts_of_nothing_nameable() {
    for name in [".wh.", ".wh..", ".wh...", "a/.wh...", ".wh.a/b"] {
        refused!([Archive::new().file(name, "").end()], Refusal::Whiteout, Some(name));
    }
}

#[test]
fn names_too_long_or_too_deep() {
    let name = "n".repeat(256);
    let layer = Archive::new().pax(&[("path", name.as_bytes())]).file("a", "").end();
    refused!([layer], Refusal::NameTooLong, Some(&name[..]));
    for path in [vec!["n".repeat(255); 17].join("/"), "d/".repeat(600)] {
        let layer = Archive::new().pax(&[("path", path.as_bytes())]).dir("a").end();
        refused!([layer], Refusal::PathTooLong, Some(&path[..]));
    }
    let target = "t".repeat(4096);
    let layer = Archive::new().pax(&[("linkpath", target.as_bytes())]).symlink("a", "").end();
    refused!([layer], Refusal::PathTooLong, Some("a"));
}

#[test]
fn paths_too_deep_by_symbolic_links() {
    let deep = "d/".repeat(400);
    let link = Archive::new().pax(&[("linkpath", deep.as_bytes())]).symlink("l", "");
    let path = format!("l/{}x", "e/".repeat(200));
    let layer = link.pax(&[("path", path.as_bytes())]).file("a", "").end();
    refused!([layer], Refusal::PathTooLong, Some(&path[..]));
}

#[test]
fn nul_in_names() {
    let layer = Archive::new().pax(&[("path", b"a\0b")]).file("a", "").end();
    refused!([layer], Refusal::Nul, Some("a\0b"));
    let layer = Archive::new().pax(&[("linkpath", b"a\0b")]).symlink("s", "").end();
    refused!([layer], Refusal::Nul, Some("s"));
}

#[test]
fn files_as_directories_and_roots() {
    let layer = Archive::new().file("f", "").file("f/a", "").end();
    refused!([layer], Refusal::ParentNotDirectory, Some("f/a"));
    refused!([Archive::new().file("./", "").end()], Refusal::RootNotDirectory, Some("./"));
    refused!([Archive::new().symlink("/", "a").end()], Refusal::RootNotDirectory, Some("/"));
}

#[test]
fn loops_of_symbolic_links() {
    let layer = Archive::new().symlink("a", "b").symlink("b", "a").file("a/x", "").end();
    refused!([layer], Refusal::Loop, Some("a/x"));
    refused!([Archive::new().symlink("a", "").end()], Refusal::EmptyTarget, Some("a"));
}

#[test]
fn hard_links_to_nothing() {
    refused!([Archive::new().hard_link("a", "b").end()], Refusal::LinkTargetMissing, Some("a"));
    refused!([Archive::new().hard_link("a", "a").end()], Refusal::LinkTargetMissing, Some("a"));
    let layer = Archive::new().dir("d").hard_link("a", "d").end();
    refused!([layer], Refusal::LinkToDirectory, Some("a"));
    refused!([Archive::new().hard_link("a", "/").end()], Refusal::LinkToDirectory, Some("a"));
    let hidden = [Archive::new().file("a", "").end(), Archive::new().file(".wh.a", "").end()];
    let layers = [&hidden[..], &[Archive::new().hard_link("b", "a").end()]].concat();
    refused!(layers, Refusal::LinkTargetMissing, Some("b"));
}

#[test]
fn sparse_files() {
    refused!([Archive::new().entry(b'S', "a", "", b"").end()], Refusal::Sparse, Some("a"));
    let layer = Archive::new()
        .pax(&[("GNU.sparse.major", b"1"), ("GNU.sparse.name", b"real")])
        .file("GNUSparseFile.0/real", "");
    refused!([layer.end()], Refusal::Sparse, Some("real"));
}

#[test]
fn unknown_types() {
    refused!(
        [Archive::new().entry(b'V', "a", "", b"").end()],
        Refusal::UnknownType(b'V'),
        Some("a")
    );
}

#[test]
fn headers_that_are_none() {
    refused!([vec![b'x'; 512]], Refusal::Header(_), None);
    let mut layer = Archive::new().file("a", "").end();
    layer[0] = b'b';
    refused!([layer], Refusal::Header(_), None);
    let mut layer = vec![0; 512];
    layer.extend(Archive::new().file("a", "").end());
    refused!([layer], Refusal::Header(_), None);
}

#[test]
fn truncation_anywhere() {
    assert!(merged(&[Archive::new().pax(&[("path", b"a")]).end()]).is_err(), "end mark too soon");
    let whole = Archive::new().pax(&[("path", b"long")]).file("a", &"x".repeat(600)).cut();
    for length in 1..whole.len() {
        let why = refusal(&[whole[..length].to_vec()]).0;
        assert!(matches!(why, Refusal::Truncated), "{length}: {why}");
    }
    refused!([whole[..2000].to_vec()], Refusal::Truncated, Some("long"));
}

#[test]
fn malformed_extended_headers() {
    let bad = Archive::new().raw(Archive::header(b'x', b"pax", 3), b"9 x").file("a", "").end();
    refused!([bad], Refusal::Pax, Some("pax"));
    for (key, value) in [("size", "x"), ("uid", "-1"), ("mtime", "now")] {
        let layer = Archive::new().pax(&[(key, value.as_bytes())]).file("a", "").end();
        refused!([layer], Refusal::Pax, Some("pax"));
    }
}

#[test]
fn extended_headers_that_eat_memory() {
    let huge = Archive::new().raw(Archive::header(b'L', b"long", 1 << 40), b"").end();
    refused!([huge], Refusal::HeaderTooLarge, Some("long"));
    let mut many = Archive::new();
    for i in 0..20 {
        many = many.pax(&[(&format!("SCHILY.xattr.user.{i}"), &[0; 1 << 16])]);
    }
    refused!([many.file("a", "").end()], Refusal::HeaderTooLarge, Some("pax"));
}

#[test]
fn numbers_out_of_range() {
    let with = |change: fn(&mut Header)| {
        let mut header = Archive::header(b'3', b"a", 0);
        change(&mut header);
        [Archive::new().raw(header, b"").end()]
    };
    refused!(with(|h| h.set_uid(1 << 40)), Refusal::OutOfRange("owner"), Some("a"));
    refused!(with(|h| h.as_old_mut().gid = *b"99999999"), Refusal::OutOfRange("group"), Some("a"));
    refused!(with(|h| h.as_old_mut().mode = [0xff; 8]), Refusal::OutOfRange("mode"), Some("a"));
    refused!(
        with(|h| h.set_device_major(0x1000).unwrap()),
        Refusal::OutOfRange("device number"),
        Some("a")
    );
    for size in ["9223372036854775807", "18446744073709551615"] {
        let layer = Archive::new().pax(&[("size", size.as_bytes())]).file("a", "").end();
        refused!([layer], Refusal::OutOfRange("size"), Some("a"));
    }
    let layer = Archive::new().pax(&[("SCHILY.xattr.user.a", &[0; (1 << 16) + 1])]).file("a", "");
    refused!([layer.end()], Refusal::OutOfRange("size of an extended attribute"), Some("pax"));
    let mut header = Archive::header(b'0', b"a", 0);
    header.as_old_mut().size = [0xff; 12];
    refused!([Archive::new().raw(header, b"").end()], Refusal::OutOfRange("size"), Some("a"));
}

#[test]
fn images_larger_than_allowed() {
    let layer = Archive::new().file("a", &"x".repeat(5000)).file("b", "").end();
    let limited = |limits: Limits, layers: &[Vec<u8>]| {
        merge(layers, &limits, &mut Vec::new(), &mut |_| {}).unwrap_err().to_string()
    };
    let all = Limits::default();
    let bytes = limited(Limits { unpacked: 10_000, ..all }, &[layer.clone(), layer.clone()]);
    assert_eq!(bytes, "layer 1: the image has more than the allowed 10000 bytes");
    let entries = limited(Limits { entries: 3, ..all }, &[layer.clone(), layer.clone()]);
    assert_eq!(entries, "layer 0: the image has more than the allowed 3 entries");
    let names = limited(Limits { names: 1, ..all }, &[layer]);
    assert_eq!(names, "layer 0: the image has more than the allowed 1 bytes of names");
}

#[test]
fn a_claim_of_data_is_not_believed() {
    // No allocation follows the size field, only reading does.
    let layer = Archive::new().raw(Archive::header(b'0', b"a", 1 << 60), b"").cut();
    refused!([layer], Refusal::Truncated, Some("a"));
}
