//! What must hold for any bytes that a guest sends to a share; for the tests and
//! for the fuzz target.

use std::fs;

use vxn::share::{Connection, Export, MSIZE};

/// Feeds a share of a directory. Every answer is one message of at most [`MSIZE`]
/// bytes, and nothing beside the directory changes. Returns the answers' types.
pub fn check(bytes: &[u8]) -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    let share = dir.path().join("share");
    fs::create_dir(&share).unwrap();
    fs::write(share.join("file"), "inside").unwrap();
    fs::write(dir.path().join("secret"), "outside").unwrap();
    std::os::unix::fs::symlink("../secret", share.join("link")).unwrap();
    let mut connection = Connection::new(Export::open(&share, false).unwrap(), 16);
    connection.feed(bytes);
    let (mut kinds, mut out) = (Vec::new(), Vec::new());
    while connection.answer(&mut out).unwrap_or(false) {
        assert!((7..=MSIZE).contains(&out.len()));
        assert_eq!(out[..4], (out.len() as u32).to_le_bytes());
        kinds.push(out[4]);
        out.clear();
    }
    assert_eq!(fs::read(dir.path().join("secret")).unwrap(), b"outside");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
    kinds
}
