//! The seed corpora of the fuzz targets, run as ordinary tests.

mod check;

use std::{fmt::Debug, fs, path::Path};

use vxn_proto::{Message, ToGuest, ToHost};

/// Runs every seed of a target and returns how many hold frames and no error:
/// the whole session and the one that is cut short.
fn run<M: Message + PartialEq + Debug>(target: &str) -> usize {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/seeds").join(target);
    let mut good = 0;
    for seed in fs::read_dir(seeds).unwrap() {
        let bytes = fs::read(seed.unwrap().path()).unwrap();
        check::check::<M>(&bytes);
        let (frames, end) = check::decode::<M>(&bytes, 4096);
        good += usize::from(end.is_ok() && !frames.is_empty());
    }
    good
}

#[test]
fn seeds_to_guest() {
    assert_eq!(run::<ToGuest>("to_guest"), 2);
}

#[test]
fn seeds_to_host() {
    assert_eq!(run::<ToHost>("to_host"), 2);
}
